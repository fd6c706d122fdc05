#include "coordinator/job_inputs.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/coordinator/job_files.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class JobInputsTest : public JobFilesFixture {
 protected:
  void SetUp() override {
    JobFilesFixture::SetUp();
    spec_.mutable_model()->set_path(Path("model"));
    spec_.mutable_dataset()->set_path(Path("prompts.jsonl"));
    spec_.mutable_oracle()->set_path(Path("lexicon.tsv"));
    spec_.mutable_evaluation()->set_holdout_prompts(64);
    spec_.mutable_sampling()->set_num_generations(5);
  }

  std::vector<std::string> Check() const { return Lines(CheckJobInputs(spec_)); }

  void SetPattern(const std::string& pattern) {
    spec_.mutable_oracle()->set_kind(v1::ORACLE_KIND_REGEX);
    spec_.mutable_oracle()->clear_path();
    spec_.mutable_oracle()->set_pattern(pattern);
  }
};

TEST_F(JobInputsTest, AllThereIsFine) { EXPECT_THAT(Check(), IsEmpty()); }

TEST_F(JobInputsTest, AModelWithAnIndexIsFine) {
  ASSERT_OK(Rename(Path("model/model.safetensors"), Path("model/model.safetensors.index.json")));
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(JobInputsTest, AllMissingFilesOfAModelAreNamed) {
  ASSERT_OK(RemoveAll(Path("model/model.safetensors")));
  ASSERT_OK(RemoveAll(Path("model/tokenizer.json")));
  EXPECT_THAT(Check(), ElementsAre(absl::StrCat(
                           "model.path: is ", Path("model"),
                           "; it has no model.safetensors or model.safetensors.index.json, no "
                           "tokenizer.json; attune inspect --model ",
                           Path("model"), " tells what to do")));
}

TEST_F(JobInputsTest, AModelThatIsNoDirectoryIsRefused) {
  spec_.mutable_model()->set_path(Path("model/config.json"));
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("there is no such directory")));
}

TEST_F(JobInputsTest, PathsAreRequired) {
  spec_.clear_model();
  spec_.clear_dataset();
  EXPECT_THAT(Check(), ElementsAre("model.path: is required: the directory of a Hugging Face model",
                                   "dataset.path: is required: a file of JSON lines"));
}

TEST_F(JobInputsTest, TheFirstBadLineOfTheDatasetIsTold) {
  ASSERT_OK(WriteFile(Path("prompts.jsonl"), "{\"prompt\": \"a\"}\n{}\n"));
  EXPECT_THAT(Check(),
              ElementsAre(absl::StrCat("dataset.path: ", Path("prompts.jsonl"),
                                       " line 2: \"prompt\" is missing (1 bad line of 2)")));
}

TEST_F(JobInputsTest, AMissingDatasetIsTold) {
  ASSERT_OK(RemoveAll(Path("prompts.jsonl")));
  EXPECT_THAT(Check(),
              ElementsAre(absl::StrCat("dataset.path: there is no file ", Path("prompts.jsonl"))));
}

TEST_F(JobInputsTest, SomethingIsLeftToTrainOn) {
  WritePrompts(65);
  EXPECT_THAT(Check(), IsEmpty());
  WritePrompts(64);
  EXPECT_THAT(
      Check(),
      ElementsAre(HasSubstr("with 64 prompts; must be more than evaluation.holdout_prompts, 64")));
}

TEST_F(JobInputsTest, MessagesNeedAModelWithAChatTemplate) {
  ASSERT_OK_AND_ASSIGN(const std::string lines, ReadFile(Path("prompts.jsonl")));
  ASSERT_OK(WriteFile(Path("prompts.jsonl"),
                      lines + R"({"messages": [{"role": "user", "content": "Hi"}]})"));
  EXPECT_THAT(Check(), ElementsAre(absl::StrCat(
                           "dataset.path: is ", Path("prompts.jsonl"),
                           " with \"messages\", but the model ", Path("model"),
                           " has no chat template; give \"prompt\", or add a chat_template.jinja "
                           "to the model")));
  ASSERT_OK(WriteFile(Path("model/tokenizer_config.json"), R"({"chat_template": null})"));
  EXPECT_THAT(Check(), SizeIs(1));
  ASSERT_OK(WriteFile(Path("model/tokenizer_config.json"), R"({"chat_template": "x"})"));
  EXPECT_THAT(Check(), IsEmpty());
  ASSERT_OK(RemoveAll(Path("model/tokenizer_config.json")));
  ASSERT_OK(WriteFile(Path("model/chat_template.jinja"), "x"));
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(JobInputsTest, IncludeGoldNeedsAGoldResponse) {
  spec_.mutable_pairing()->set_include_gold(true);
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("pairing.include_gold: is true, but no line of")));
  ASSERT_OK_AND_ASSIGN(const std::string lines, ReadFile(Path("prompts.jsonl")));
  ASSERT_OK(WriteFile(Path("prompts.jsonl"), lines + "{\"prompt\": \"a\", \"answer\": \"b\"}\n"));
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(JobInputsTest, EveryDomainOfASequenceNeedsARound) {
  spec_.mutable_curriculum()->set_mixing(v1::DOMAIN_MIXING_SEQUENTIAL);
  spec_.set_rounds(1);
  EXPECT_THAT(Check(), IsEmpty());  // all rows are of one domain
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&rows, "{\"prompt\": \"p", i, "\", \"domain\": \"d", i % 2, "\"}\n");
  }
  ASSERT_OK(WriteFile(Path("prompts.jsonl"), rows));
  EXPECT_THAT(Check(), ElementsAre("rounds: is 1; must be at least 2, the number of domains, with "
                                   "curriculum.mixing sequential"));
  spec_.set_rounds(2);
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(JobInputsTest, TheLexiconIsThereAndNotEmpty) {
  ASSERT_OK(WriteFile(Path("lexicon.tsv"), ""));
  EXPECT_THAT(Check(), ElementsAre(absl::StrCat("oracle.path: is ", Path("lexicon.tsv"),
                                                ", which is empty")));
  ASSERT_OK(RemoveAll(Path("lexicon.tsv")));
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("there is no such file")));
}

TEST_F(JobInputsTest, APatternCompiles) {
  SetPattern("(?<word>\\p{L}+) \xc3\xa9");
  EXPECT_THAT(Check(), IsEmpty());
  SetPattern("ab(c");
  EXPECT_THAT(Check(), ElementsAre("oracle.pattern: is 'ab(c'; it does not compile at offset 4: "
                                   "missing closing parenthesis"));
}

}  // namespace
}  // namespace attune
