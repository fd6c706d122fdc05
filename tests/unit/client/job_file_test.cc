#include "client/job_file.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

std::string ToText(const std::vector<FieldViolation>& violations) {
  return absl::StrJoin(violations, "\n", [](std::string* out, const FieldViolation& violation) {
    absl::StrAppend(out, violation.field, ": ", violation.description);
  });
}

// The problems of a job file, one per line.
std::string ProblemsOf(const std::string& yaml) {
  const absl::StatusOr<JobFile> file = ParseJobFile(yaml);
  return ToText(file.ok() ? file->violations : FieldViolations(file.status()));
}

TEST(JobFileTest, ReadsEveryKindOfValue) {
  ASSERT_OK_AND_ASSIGN(const JobFile file, ParseJobFile(R"(
name: happier-stories
model: {path: models/tiny}          # a comment
algorithm: dno_prct
rounds: 3
seed: 18446744073709551615
sampling:  {temperature: 0, top_p: .9, num_generations: 5}
oracle:    {kind: regex, pattern: '[!?]'}
pairing:   {strategy: large_margin, min_margin: 1, include_gold: true}
objective: {loss_type: sigmoid, reference: previous_round}
training:
  learning_rate: 5.0e-5
  adam_epsilon: 1e-8
  lr_scheduler_type: "cosine"
evaluation:
)"));
  EXPECT_EQ(ToText(file.violations), "");
  EXPECT_EQ(file.spec.name(), "happier-stories");
  EXPECT_EQ(file.spec.model().path(), "models/tiny");
  EXPECT_EQ(file.spec.algorithm(), v1::ALGORITHM_DNO_PRCT);
  EXPECT_EQ(file.spec.rounds(), 3u);
  EXPECT_EQ(file.spec.seed(), UINT64_MAX);
  EXPECT_TRUE(file.spec.sampling().has_temperature());
  EXPECT_EQ(file.spec.sampling().temperature(), 0.0);
  EXPECT_EQ(file.spec.sampling().top_p(), 0.9);
  EXPECT_EQ(file.spec.oracle().pattern(), "[!?]");
  EXPECT_TRUE(file.spec.pairing().include_gold());
  EXPECT_EQ(file.spec.training().learning_rate(), 5e-5);
  EXPECT_EQ(file.spec.training().lr_scheduler_type(), v1::LR_SCHEDULER_TYPE_COSINE);
  EXPECT_FALSE(file.spec.has_prompts_per_round());
  EXPECT_FALSE(file.spec.has_evaluation());
}

TEST(JobFileTest, ReadsListsOrTheirOnlyItemAlone) {
  const auto file = ParseJobFile(R"(
objective: {loss_type: [sigmoid, sft], loss_weights: [1, 0.5]}
auxiliary_oracles:
- {oracle: {kind: length}, weight: 0.25}
pairing: {replay: 0.3}
)");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->violations.empty());
  const v1::ObjectiveSpec& objective = file->spec.objective();
  EXPECT_EQ(objective.loss_type_size(), 2);
  EXPECT_EQ(objective.loss_type(1), v1::LOSS_TYPE_SFT);
  EXPECT_EQ(objective.loss_weights(1), 0.5);
  EXPECT_EQ(file->spec.auxiliary_oracles(0).oracle().kind(), v1::ORACLE_KIND_LENGTH);
  EXPECT_EQ(file->spec.pairing().replay(0), 0.3);
}

TEST(JobFileTest, PlacesProblemsInLists) {
  EXPECT_EQ(ProblemsOf("objective: {loss_weights: [1, x]}\nauxiliary_oracles: [3, {wieght: 1}]"),
            "objective.loss_weights[1]: must be a finite number, is x (line 1)\n"
            "auxiliary_oracles[0]: must be a map of keys, is 3 (line 2)\n"
            "auxiliary_oracles[1].wieght: unknown key; did you mean \"weight\"? (line 2)");
}

TEST(JobFileTest, NamesUnknownKeysAndTheNearestKnownOne) {
  EXPECT_EQ(ProblemsOf("round: 3\ntraining:\n  learning_rat: 1\n  zzzzzz: 1\n"
                       "samplng: {top_k: 1}\nPrompts-Per-Round: 4\n"),
            "round: unknown key; did you mean \"rounds\"? (line 1)\n"
            "training.learning_rat: unknown key; did you mean \"learning_rate\"? (line 3)\n"
            "training.zzzzzz: unknown key (line 4)\n"
            "samplng: unknown key; did you mean \"sampling\"? (line 5)\n"
            "Prompts-Per-Round: unknown key; did you mean \"prompts_per_round\"? (line 6)");
}

TEST(JobFileTest, RefusesWrongTypes) {
  EXPECT_EQ(ProblemsOf("rounds: many\n"
                       "prompts_per_round: 1.5\n"
                       "seed: \"42\"\n"
                       "name: [a, b]\n"
                       "model: models/tiny\n"
                       "training: [1]\n"
                       "sampling: {temperature: hot, top_p: \"0.9\", top_k: {a: 1}}\n"
                       "pairing: {include_gold: 1, min_margin: .inf}\n"),
            "rounds: must be a whole number, is many (line 1)\n"
            "prompts_per_round: must be a whole number, is 1.5 (line 2)\n"
            "seed: must be a whole number, is \"42\" (line 3)\n"
            "name: must be a string, is a list (line 4)\n"
            "model: must be a map of keys, is models/tiny (line 5)\n"
            "training: must be a map of keys, is a list (line 6)\n"
            "sampling.temperature: must be a finite number, is hot (line 7)\n"
            "sampling.top_p: must be a finite number, is \"0.9\" (line 7)\n"
            "sampling.top_k: must be a whole number, is a map (line 7)\n"
            "pairing.include_gold: must be true or false, is 1 (line 8)\n"
            "pairing.min_margin: must be a finite number, is .inf (line 8)");
}

TEST(JobFileTest, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(ProblemsOf("rounds: -1\n"
                       "prompts_per_round: 4294967296\n"
                       "seed: 18446744073709551616\n"
                       "sampling: {top_k: 99999999999999999999999, temperature: 1e999}\n"),
            "rounds: must not be negative, is -1 (line 1)\n"
            "prompts_per_round: must be at most 4294967295, is 4294967296 (line 2)\n"
            "seed: must be at most 18446744073709551615, is 18446744073709551616 (line 3)\n"
            "sampling.top_k: must be at most 4294967295, is 99999999999999999999999 (line 4)\n"
            "sampling.temperature: must be a finite number, is 1e999 (line 4)");
}

TEST(JobFileTest, RefusesUnknownChoices) {
  EXPECT_THAT(ProblemsOf("objective: {loss_type: DNO}"),
              testing::AllOf(testing::StartsWith("objective.loss_type: must be one of sigmoid, "),
                             testing::EndsWith(", is DNO; did you mean \"dno\"? (line 1)")));
  EXPECT_EQ(ProblemsOf("training: {precision: fp31}\nobjective: {reference: 3}\n"
                       "pairing: {tie_policy: unspecified}\n"),
            "training.precision: must be one of fp32, bf16, is fp31; did you mean \"fp32\"? "
            "(line 1)\n"
            "objective.reference: must be one of previous_round, initial, none, rollout, mixed, "
            "model, is 3 (line 2)\n"
            "pairing.tie_policy: must be one of drop, first, soft, is unspecified (line 3)");
}

TEST(JobFileTest, RefusesRepeatedAndEmptyKeys) {
  EXPECT_EQ(ProblemsOf("rounds: 1\nseed:\nrounds: 2\nsampling: {top_k: ~}\n? [a]\n: 1\n"),
            "seed: has no value; write one or remove the key (line 2)\n"
            "rounds: the key is given twice (line 3)\n"
            "sampling.top_k: has no value; write one or remove the key (line 4)\n"
            "yaml: a key is not a word (line 5)");
}

TEST(JobFileTest, PlacesSyntaxErrors) {
  EXPECT_EQ(ProblemsOf("name: x\nsampling: {top_k: 1\nrounds: 2\n"),
            "yaml: line 3, column 7: end of map flow not found");
  EXPECT_EQ(ProblemsOf("name: x\n  rounds: 2\n"), "yaml: line 2, column 9: illegal map value");
}

TEST(JobFileTest, RefusesWhatIsNotOneMap) {
  EXPECT_EQ(ProblemsOf(""), "yaml: the file is empty");
  EXPECT_EQ(ProblemsOf("# only a comment\n"), "yaml: the file is empty");
  EXPECT_EQ(ProblemsOf("- a\n- b\n"), "yaml: the file must be a map of keys, is a list");
  EXPECT_EQ(ProblemsOf("hello"), "yaml: the file must be a map of keys, is hello");
  EXPECT_EQ(ProblemsOf("rounds: 1\n---\nrounds: 2\n"),
            "yaml: the file holds 2 documents (separated by ---), must hold one");
}

TEST(JobFileTest, SurvivesDeepNesting) {
  EXPECT_NE(ProblemsOf(std::string(100'000, '[')), "");
  EXPECT_NE(ProblemsOf("name: " + std::string(100'000, '{')), "");
}

TEST(JobFileTest, KeepsTheGoodValuesOfABadFile) {
  ASSERT_OK_AND_ASSIGN(const JobFile file,
                       ParseJobFile("rounds: x\nseed: 7\ntraining: {beta: 1, weight_decay: 2}\n"));
  EXPECT_EQ(file.violations.size(), 2u);
  EXPECT_FALSE(file.spec.has_rounds());
  EXPECT_EQ(file.spec.seed(), 7u);
  EXPECT_EQ(file.spec.training().weight_decay(), 2.0);
}

class JobFilePathsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("job_file_test"));
  }
  void TearDown() override { RemoveAll(directory_).IgnoreError(); }

  std::string directory_;
};

TEST_F(JobFilePathsTest, PathsBesideTheJobFileAreMadeAbsolute) {
  const std::string job = JoinPath(directory_, "job.yaml");
  ASSERT_OK(CreateDirectories(JoinPath(directory_, "models/tiny")));
  ASSERT_OK(WriteFile(JoinPath(directory_, "prompts.jsonl"), "{}\n"));
  ASSERT_OK(WriteFile(job,
                      "model: {path: models/tiny}\ndataset: {path: ./prompts.jsonl}\n"
                      "oracle: {path: /absent/lexicon.tsv, calibration: prompts.jsonl}\n"
                      "auxiliary_oracles: {oracle: {parts: {oracle: {path: prompts.jsonl}}}}\n"));
  ASSERT_OK_AND_ASSIGN(const JobFile file, LoadJobFile(job));
  EXPECT_EQ(file.spec.model().path(), JoinPath(directory_, "models/tiny"));
  EXPECT_EQ(file.spec.dataset().path(), JoinPath(directory_, "prompts.jsonl"));
  EXPECT_EQ(file.spec.oracle().path(), "/absent/lexicon.tsv");
  EXPECT_EQ(file.spec.oracle().calibration(), JoinPath(directory_, "prompts.jsonl"));
  EXPECT_EQ(file.spec.auxiliary_oracles(0).oracle().parts(0).oracle().path(),
            JoinPath(directory_, "prompts.jsonl"));
}

TEST_F(JobFilePathsTest, PathsOfTheWorkingDirectoryComeSecond) {
  // Tests run in the root of the project, where CMakeLists.txt and client/ are.
  const std::string job = JoinPath(directory_, "job.yaml");
  ASSERT_OK(WriteFile(job,
                      "model: {path: client}\ndataset: {path: not-there.jsonl}\n"
                      "oracle: {path: CMakeLists.txt}\n"));
  ASSERT_OK_AND_ASSIGN(const JobFile file, LoadJobFile(job));
  EXPECT_EQ(file.spec.model().path(), AbsolutePath("client"));
  EXPECT_EQ(file.spec.dataset().path(), "not-there.jsonl");
  EXPECT_EQ(file.spec.oracle().path(), AbsolutePath("CMakeLists.txt"));
}

TEST_F(JobFilePathsTest, FilesThatCannotBeReadAreRefusedWithTheirName) {
  EXPECT_THAT(LoadJobFile(JoinPath(directory_, "absent.yaml")),
              StatusIs(absl::StatusCode::kInvalidArgument, "absent.yaml: No such file"));
  EXPECT_THAT(LoadJobFile(directory_), StatusIs(absl::StatusCode::kInvalidArgument, directory_));
}

}  // namespace
}  // namespace attune
