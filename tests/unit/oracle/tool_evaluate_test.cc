#include "oracle/tool_evaluate.h"

#include <sstream>
#include <string>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/tool.h"
#include "oracle/tool_json.h"
#include "oracle/tool_perturb.h"
#include "oracle/tool_players.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
const std::string kModel = JoinPath(ATTUNE_SOURCE_DIR, "models/stories260k");

class ToolEvaluateTest : public testing::Test {
 protected:
  ToolEvaluateTest() {
    EXPECT_OK(WriteFile(directory_.File("o.yaml"), "kind: regex\npattern: '[aeiou]'\n"));
    EXPECT_OK(WriteFile(directory_.File("p.jsonl"),
                        "{\"prompt\": \"Once upon a time\"}\n{\"prompt\": \"One day\"}\n"
                        "{\"prompt\": \"Lily\"}\n{\"prompt\": \"The dog\"}\n"));
    command_ = {.models = {absl::StrCat("first=", kModel), absl::StrCat("same=", kModel)},
                .oracle = directory_.File("o.yaml"),
                .prompts = directory_.File("p.jsonl"),
                .sampling = {.max_new_tokens = 12},
                .seed = 3,
                .json = true};
  }

  ToolJson Report() {
    out_.str("");
    EXPECT_OK(RunEvaluate(command_, out_));
    return ToolJson::parse(out_.str());
  }

  // stories260k with other weights at its head: another model of the same vocabulary.
  std::string OtherModel() {
    const std::string other = directory_.File("other");
    EXPECT_OK(CreateDirectories(other));
    for (const char* name : {"config.json", "generation_config.json", "model.safetensors",
                             "tokenizer.json", "tokenizer_config.json"}) {
      absl::StatusOr<std::string> bytes = ReadFile(JoinPath(kModel, name));
      EXPECT_OK(bytes);
      if (std::string(name) == "model.safetensors") {
        // The last values of the last tensor, in fp32: halved by a smaller exponent.
        for (size_t i = bytes->size() - 4000; i < bytes->size(); i += 4) (*bytes)[i + 2] ^= 0x40;
      }
      EXPECT_OK(WriteFile(JoinPath(other, name), *bytes));
    }
    return other;
  }

  ScratchDirectory directory_;
  EvaluateCommand command_;
  std::ostringstream out_;
};

TEST_F(ToolEvaluateTest, AModelTiesWithItself) {
  const ToolJson report = Report();
  EXPECT_EQ(4, report["prompts"]);
  EXPECT_EQ(0, report["failed"]);
  const ToolJson& same = report["models"][1];
  EXPECT_EQ("same", same["name"]);
  EXPECT_EQ(0.5, same["win_rate"]["rate"]);
  EXPECT_EQ(0.5, same["win_rate"]["low"]);
  EXPECT_EQ(0, same["kl"]);
  EXPECT_EQ(report["models"][0]["mean_score"], same["mean_score"]);
  EXPECT_TRUE(report["models"][0]["win_rate"].is_null());
  EXPECT_TRUE(report["win_rates"][0][0].is_null());
  EXPECT_EQ(0.5, report["win_rates"][0][1]["rate"]);
}

TEST_F(ToolEvaluateTest, AnotherModelIsAtADistanceAndTheReportIsRepeatable) {
  command_.models[1] = absl::StrCat("other=", OtherModel());
  const ToolJson report = Report();
  EXPECT_NE(0, report["models"][1]["kl"]);
  EXPECT_EQ(1, report["win_rates"][0][1]["rate"].get<double>() +
                   report["win_rates"][1][0]["rate"].get<double>());
  EXPECT_EQ(report, Report());
  command_.seed = 4;
  EXPECT_NE(report, Report());
}

TEST_F(ToolEvaluateTest, AnswersAreThoseOfGenerate) {
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const std::vector<Player> players, ParsePlayers(command_.models));
  std::vector<v1::Prompt> prompts(2);
  prompts[0].set_text("Once upon a time");
  prompts[1].set_text("One day");
  prompts[1].set_index(1);
  ASSERT_OK_AND_ASSIGN(const auto answers,
                       AnswerAll(players, prompts, command_.sampling, command_.seed, &models));
  ASSERT_OK(RunGenerate({.model = kModel,
                         .prompts_file = command_.prompts,
                         .sampling = command_.sampling,
                         .seed = command_.seed},
                        out_));
  std::istringstream lines(out_.str());
  for (int i = 0; i < 2; ++i) {
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(ToolJson::parse(line)["text"], answers[0][i].text);
    EXPECT_EQ(ToolJson::parse(line)["ids"].size(), answers[0][i].tokens);
  }
}

TEST_F(ToolEvaluateTest, TheWorstCaseIsOverAllWordings) {
  command_.models[1] = absl::StrCat("other=", OtherModel());
  command_.perturb = true;
  const ToolJson report = Report();
  ASSERT_EQ(Perturbations().size(), report["perturbations"].size());
  double worst = report["models"][1]["win_rate"]["rate"];
  for (const ToolJson& one : report["perturbations"]) {
    worst = std::min(worst, one["win_rates"][1]["rate"].get<double>());
  }
  EXPECT_EQ(worst, report["models"][1]["worst_case"]["win_rate"]["rate"]);
}

TEST_F(ToolEvaluateTest, WritesTablesOfTheFirstPrompts) {
  command_.json = false;
  command_.num_prompts = 2;
  command_.models.push_back(absl::StrCat("third=", kModel));
  ASSERT_OK(RunEvaluate(command_, out_));
  EXPECT_THAT(out_.str(), HasSubstr("2 prompts judged by regex/1"));
  EXPECT_THAT(out_.str(), HasSubstr("BEATS first"));
  EXPECT_THAT(out_.str(), HasSubstr("third"));
}

TEST_F(ToolEvaluateTest, BadInputIsRefused) {
  command_.models = {kModel};
  EXPECT_THAT(RunEvaluate(command_, out_), StatusIs(kInvalid, "at least twice"));
  command_.models = {kModel, kModel};
  EXPECT_THAT(RunEvaluate(command_, out_), StatusIs(kInvalid, "NAME=DIR of its own"));
  command_.models = {kModel, "x="};
  EXPECT_THAT(RunEvaluate(command_, out_), StatusIs(kInvalid, "x="));
  command_.models = {kModel, "x=no-such-model"};
  EXPECT_THAT(RunEvaluate(command_, out_), StatusIs(kInvalid, "no-such-model"));
  command_.models = {kModel, absl::StrCat("x=", kModel)};
  command_.sampling.temperature = -1;
  EXPECT_THAT(RunEvaluate(command_, out_), StatusIs(kInvalid, "temperature"));
}

TEST(PerturbationTest, ChangesThePromptOrItsLastMessage) {
  v1::Prompt prompt;
  prompt.set_text("Tell me");
  prompt.set_gold("g");
  std::vector<std::string> texts;
  for (const Perturbation& one : Perturbations()) texts.push_back(Perturbed(one, prompt).text());
  EXPECT_THAT(texts,
              testing::ElementsAre("Tell me ", "tell me", "Please help me with this.\nTell me"));
  prompt.set_messages(R"([{"role":"system","content":"S"},{"role":"user","content":"Tell me"}])");
  const v1::Prompt changed = Perturbed(Perturbations()[1], prompt);
  EXPECT_EQ(R"([{"role":"system","content":"S"},{"role":"user","content":"tell me"}])",
            changed.messages());
  EXPECT_EQ("g", changed.gold());
}

}  // namespace
}  // namespace attune
