#include "coordinator/job_spec.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/coordinator/job_files.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class JobSpecTest : public JobFilesFixture {
 protected:
  std::vector<std::string> Resolve() const {
    return Lines(ResolveJobSpec(spec_, root_).violations);
  }
  // What is said about `spec_` after a change, which is then undone.
  std::vector<std::string> ResolveWith(const std::function<void(v1::JobSpec&)>& change) {
    v1::JobSpec changed = spec_;
    change(changed);
    return Lines(ResolveJobSpec(changed, root_).violations);
  }
};

TEST_F(JobSpecTest, TheLeastThatIsNeededIsEnough) { EXPECT_THAT(Resolve(), IsEmpty()); }

TEST_F(JobSpecTest, PathsBecomeAbsoluteUnderTheModelRoot) {
  spec_.mutable_model()->set_path("./x/../model/");
  const ResolvedJobSpec resolved = ResolveJobSpec(spec_, root_);
  EXPECT_THAT(Lines(resolved.violations), IsEmpty());
  EXPECT_EQ(resolved.spec.model().path(), Path("model"));
  EXPECT_EQ(resolved.spec.dataset().path(), Path("prompts.jsonl"));
  EXPECT_EQ(resolved.spec.oracle().path(), Path("lexicon.tsv"));
}

TEST_F(JobSpecTest, AbsolutePathsStay) {
  spec_.mutable_model()->set_path(Path("model"));
  const ResolvedJobSpec resolved = ResolveJobSpec(spec_, "/elsewhere");
  EXPECT_EQ(resolved.spec.model().path(), Path("model"));
}

TEST_F(JobSpecTest, AResolvedSpecResolvesToItself) {
  for (v1::OracleKind kind :
       {v1::ORACLE_KIND_LEXICON, v1::ORACLE_KIND_LENGTH, v1::ORACLE_KIND_REGEX}) {
    v1::OracleSpec& oracle = *spec_.mutable_oracle();
    oracle.Clear();
    oracle.set_kind(kind);
    if (kind == v1::ORACLE_KIND_LEXICON) oracle.set_path("lexicon.tsv");
    if (kind == v1::ORACLE_KIND_REGEX) oracle.set_pattern("a+");
    const ResolvedJobSpec once = ResolveJobSpec(spec_, root_);
    EXPECT_THAT(Lines(once.violations), IsEmpty());
    const ResolvedJobSpec twice = ResolveJobSpec(once.spec, root_);
    EXPECT_THAT(Lines(twice.violations), IsEmpty());
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once.spec, twice.spec));
  }
}

TEST_F(JobSpecTest, AnEmptySpecSaysAllThatIsRequired) {
  EXPECT_THAT(
      Lines(ResolveJobSpec({}, root_).violations),
      UnorderedElementsAre("model.path: is required: the directory of a Hugging Face model",
                           "dataset.path: is required: a file of JSON lines",
                           HasSubstr("oracle.kind: is required; must be one of lexicon, ")));
}

TEST_F(JobSpecTest, AllProblemsAreToldAtOnce) {
  spec_.set_name("Bad Name");
  spec_.set_rounds(0);
  spec_.mutable_training()->set_learning_rate(-3);
  spec_.mutable_model()->set_path("nothing");
  WritePrompts(5);
  EXPECT_THAT(
      Resolve(),
      UnorderedElementsAre(
          "name: is 'Bad Name'; must have 1 to 63 characters of a-z, 0-9 and '-', the first one a "
          "letter",
          "rounds: is 0; must be between 1 and 1000",
          "training.learning_rate: is -3; must be above 0 and at most 1",
          absl::StrCat("model.path: is ", Path("nothing"), "; there is no such directory"),
          absl::StrCat("dataset.path: is ", Path("prompts.jsonl"),
                       " with 5 prompts; must be more than evaluation.holdout_prompts, 64, which "
                       "are never trained on")));
}

TEST_F(JobSpecTest, NamesAreShortAndPlain) {
  for (const char* name : {"a", "a-1", "happier-stories"}) {
    EXPECT_THAT(ResolveWith([&](v1::JobSpec& spec) { spec.set_name(name); }), IsEmpty()) << name;
  }
  for (const std::string name : {"1a", "-a", "a_b", "A", "a/b", "\xc3\xa9", "a "}) {
    EXPECT_THAT(ResolveWith([&](v1::JobSpec& spec) { spec.set_name(name); }),
                ElementsAre(HasSubstr("name: is")))
        << name;
  }
  const auto with_length = [&](size_t size) {
    return ResolveWith([&](v1::JobSpec& spec) { spec.set_name(std::string(size, 'a')); });
  };
  EXPECT_THAT(with_length(63), IsEmpty());
  EXPECT_THAT(with_length(64), ElementsAre(HasSubstr("name: is")));
}

// A field with a range: values that are allowed, and values that are not.
struct RangeCase {
  std::string field;
  std::string limits;
  std::vector<double> good;
  std::vector<double> bad;
};

const std::vector<RangeCase>& RangeCases() {
  static const auto& cases = *new std::vector<RangeCase>{
      {"rounds", "between 1 and 1000", {1, 1000}, {0, 1001}},
      {"prompts_per_round", "between 1 and 10000000", {1, 1e7}, {0, 1e7 + 1}},
      {"sampling.num_generations", "between 2 and 64", {2, 64}, {1, 65}},
      {"sampling.temperature", "between 0.0001 and 10", {0, 1e-4, 10}, {-0.1, 1e-5, 10.5}},
      {"sampling.top_p", "above 0 and at most 1", {1e-9, 1}, {0, -1, 1.1}},
      {"sampling.top_k", "between 0 and 1000000", {0, 1e6}, {1e6 + 1}},
      {"sampling.max_new_tokens", "between 1 and 32768", {1, 32768}, {0, 32769}},
      {"sampling.min_p", "between 0 and 1", {0, 1}, {-0.1, 1.1}},
      {"sampling.repetition_penalty", "between 0.01 and 100", {0.01, 100}, {0, 101}},
      {"pairing.min_margin", "between 0 and 1000000000", {0, 1e9}, {-1, 2e9}},
      {"pairing.min_chosen_score", "between -1000000000 and 1000000000", {-1e9, 1e9}, {-2e9, 2e9}},
      {"pairing.min_margin_student", "between 0 and 1000000000", {0, 1e9}, {-1, 2e9}},
      {"pairing.length_penalty", "between 0 and 1000000", {0}, {-1}},
      {"pairing.max_pairs_per_prompt", "between 1 and 4096", {1, 4096}, {0, 4097}},
      {"objective.beta", "above 0 and at most 1000", {1e-9, 1000}, {0, 1000.5}},
      {"objective.label_smoothing", "at least 0 and below 0.5", {0, 0.49}, {-0.1, 0.5}},
      {"training.learning_rate", "above 0 and at most 1", {1e-12, 1}, {0, 1.5}},
      {"training.per_device_train_batch_size", "between 1 and 4096", {1, 4096}, {0, 4097}},
      {"training.gradient_accumulation_steps", "between 1 and 4096", {1, 4096}, {0, 4097}},
      {"training.num_train_epochs", "between 1 and 100", {1, 100}, {0, 101}},
      {"training.max_grad_norm", "between 0 and 1000000", {0, 1e6}, {-1, 2e6}},
      {"training.warmup_ratio", "at least 0 and below 1", {0, 0.99}, {-0.1, 1}},
      {"training.weight_decay", "between 0 and 1", {0, 1}, {-0.1, 1.1}},
      {"training.adam_beta1", "at least 0 and below 1", {0, 0.99}, {-0.1, 1}},
      {"training.adam_beta2", "at least 0 and below 1", {0, 0.99}, {-0.1, 1}},
      {"training.adam_epsilon", "above 0 and at most 1", {1e-12, 1}, {0, 1.1}},
      {"training.lora.r", "between 1 and 1024", {1, 1024}, {0, 1025}},
      {"training.lora.lora_alpha", "above 0 and at most 1000000", {1e-9, 1e6}, {0, 2e6}},
      {"evaluation.gate_win_rate", "between 0 and 1", {0, 1}, {-0.1, 1.1}},
      {"checkpoint.save_total_limit", "between 1 and 1000", {1, 1000}, {0, 1001}},
  };
  return cases;
}

// Sets the number at a path such as "training.learning_rate"; whether it is a double.
bool SetNumber(google::protobuf::Message* message, const std::string& path, double value) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const auto* block = message->GetDescriptor()->FindFieldByName(parts[i]);
    message = message->GetReflection()->MutableMessage(message, block);
  }
  const auto* field = message->GetDescriptor()->FindFieldByName(parts.back());
  if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE) {
    message->GetReflection()->SetDouble(message, field, value);
    return true;
  }
  message->GetReflection()->SetUInt32(message, field, static_cast<uint32_t>(value));
  return false;
}

TEST_F(JobSpecTest, RangesAreThoseOfTheProto) {
  for (const RangeCase& c : RangeCases()) {
    for (double value : c.good) {
      EXPECT_THAT(ResolveWith([&](v1::JobSpec& spec) { SetNumber(&spec, c.field, value); }),
                  IsEmpty())
          << c.field << " " << value;
    }
    for (double value : c.bad) {
      EXPECT_THAT(
          ResolveWith([&](v1::JobSpec& spec) { SetNumber(&spec, c.field, value); }),
          ElementsAre(absl::StrFormat("%s: is %.12g; must be %s", c.field, value, c.limits)));
    }
  }
}

TEST_F(JobSpecTest, HoldoutIsLimitedEvenForAHugeDataset) {
  EXPECT_THAT(ResolveWith([](v1::JobSpec& spec) {
                spec.mutable_evaluation()->set_holdout_prompts(100001);
              }),
              testing::Contains("evaluation.holdout_prompts: is 100001; must be between 0 and "
                                "100000"));
}

TEST_F(JobSpecTest, NoMoreNewTokensAreForcedThanAllowed) {
  const auto with = [&](uint32_t min_new_tokens) {
    return ResolveWith([&](v1::JobSpec& spec) {
      spec.mutable_sampling()->set_max_new_tokens(20);
      spec.mutable_sampling()->set_min_new_tokens(min_new_tokens);
    });
  };
  EXPECT_THAT(with(20), IsEmpty());
  EXPECT_THAT(with(21), ElementsAre("sampling.min_new_tokens: is 21; must be at most "
                                    "sampling.max_new_tokens, 20"));
}

TEST_F(JobSpecTest, StopTextsAreFewAndShort) {
  const auto with = [&](const std::vector<std::string>& texts) {
    return ResolveWith([&](v1::JobSpec& spec) {
      spec.mutable_sampling()->mutable_stop()->Assign(texts.begin(), texts.end());
    });
  };
  EXPECT_THAT(with({"\n", std::string(256, 'x')}), IsEmpty());
  EXPECT_THAT(with(std::vector<std::string>(16, "x")), IsEmpty());
  EXPECT_THAT(with(std::vector<std::string>(17, "x")),
              ElementsAre("sampling.stop: has 17 texts; at most 16"));
  EXPECT_THAT(with({"x", "", std::string(257, 'x')}),
              ElementsAre("sampling.stop[1]: has 0 bytes; must have 1 to 256",
                          "sampling.stop[2]: has 257 bytes; must have 1 to 256"));
}

TEST_F(JobSpecTest, QuantizationIsOfWhatIsSampled) {
  const auto with = [&](v1::Quantization quantization, uint32_t num_generations) {
    return ResolveWith([&](v1::JobSpec& spec) {
      spec.mutable_sampling()->set_quantization(quantization);
      spec.mutable_sampling()->set_num_generations(num_generations);
    });
  };
  EXPECT_THAT(with(v1::QUANTIZATION_INT8, 2), IsEmpty());
  EXPECT_THAT(with(v1::QUANTIZATION_INT8, 0),
              testing::Contains("sampling.quantization: must be none with "
                                "sampling.num_generations 0, which samples nothing"));
  EXPECT_THAT(with(static_cast<v1::Quantization>(9), 2),
              ElementsAre("sampling.quantization: is 9; must be one of none, int8"));
}

TEST_F(JobSpecTest, AGateNeedsHeldOutPrompts) {
  for (const v1::Gate gate : {v1::GATE_STOP, v1::GATE_ROLL_BACK}) {
    const auto with_gate = [&](uint32_t holdout) {
      return ResolveWith([&](v1::JobSpec& spec) {
        spec.mutable_evaluation()->set_gate(gate);
        spec.mutable_evaluation()->set_holdout_prompts(holdout);
      });
    };
    EXPECT_THAT(with_gate(1), testing::IsEmpty());
    EXPECT_THAT(with_gate(0), ElementsAre(testing::HasSubstr("evaluation.gate: is ")));
    EXPECT_THAT(ResolveWith([&](v1::JobSpec& spec) {
                  spec.mutable_evaluation()->set_gate(gate);
                  spec.mutable_oracle()->Clear();
                  spec.mutable_oracle()->set_kind(v1::ORACLE_KIND_DATASET);
                }),
                testing::Contains(testing::HasSubstr("which compares responses that are sampled")));
  }
}

TEST_F(JobSpecTest, NumbersAreFinite) {
  int doubles = 0;
  for (const RangeCase& c : RangeCases()) {
    v1::JobSpec probe;
    if (!SetNumber(&probe, c.field, 1)) continue;
    ++doubles;
    for (double value : {kNan, kInfinity, -kInfinity}) {
      EXPECT_THAT(ResolveWith([&](v1::JobSpec& spec) { SetNumber(&spec, c.field, value); }),
                  ElementsAre(HasSubstr(absl::StrCat("is ", value, "; must be"))));
    }
  }
  EXPECT_EQ(doubles, 19);
}

TEST_F(JobSpecTest, EnumNumbersThatDoNotExistAreRefused) {
  EXPECT_THAT(
      ResolveWith([](v1::JobSpec& spec) {
        spec.set_algorithm(static_cast<v1::Algorithm>(99));
        spec.mutable_oracle()->set_kind(static_cast<v1::OracleKind>(98));
        spec.mutable_oracle()->clear_path();
        spec.mutable_pairing()->set_strategy(static_cast<v1::PairingStrategy>(97));
        spec.mutable_pairing()->set_tie_policy(static_cast<v1::TiePolicy>(92));
        spec.mutable_objective()->add_loss_type(static_cast<v1::LossType>(96));
        spec.mutable_training()->set_lr_scheduler_type(static_cast<v1::LrSchedulerType>(-1));
        spec.mutable_training()->set_precision(static_cast<v1::Precision>(93));
        spec.mutable_training()->set_optim(static_cast<v1::Optimizer>(91));
        spec.mutable_training()->set_lr_scheduler_span(static_cast<v1::LrSchedulerSpan>(90));
      }),
      UnorderedElementsAre(
          HasSubstr("algorithm: is 99; must be one of dno, dno_prct, "),
          HasSubstr("oracle.kind: is 98; must be one of lexicon, length, "),
          HasSubstr("pairing.strategy: is 97; must be one of best_worst, "),
          "pairing.tie_policy: is 92; must be one of drop, first, soft",
          testing::StartsWith("objective.loss_type: has 96; must be of sigmoid, dno, spin"),
          "training.lr_scheduler_type: is -1; must be one of constant, linear, cosine",
          "training.precision: is 93; must be one of fp32, bf16",
          "training.optim: is 91; must be one of adamw_torch, rmsprop, sgd",
          "training.lr_scheduler_span: is 90; must be one of round, job"));
}

TEST_F(JobSpecTest, WhatIsNotBuiltYetIsRefused) {
  EXPECT_THAT(ResolveWith([](v1::JobSpec& spec) {
                spec.mutable_training()->set_zero_stage(2);
                spec.mutable_pipeline()->set_max_staleness(1);
              }),
              ElementsAre("training.zero_stage: is 2; not supported by this build; use 0 or 1",
                          "pipeline.max_staleness: is 1; not supported by this build; use 0"));
}

TEST_F(JobSpecTest, TargetModulesAreLastPartsOfNames) {
  const auto with = [&](const std::vector<std::string>& modules) {
    return ResolveWith([&](v1::JobSpec& spec) {
      for (const std::string& module : modules) {
        spec.mutable_training()->mutable_lora()->add_target_modules(module);
      }
    });
  };
  EXPECT_THAT(with({}), IsEmpty());
  EXPECT_THAT(with({"c_attn", "c_proj"}), IsEmpty());
  EXPECT_THAT(with({"q_proj", "q_proj"}),
              ElementsAre("training.lora.target_modules: has q_proj twice"));
  EXPECT_THAT(with({"self_attn.q_proj", ""}),
              ElementsAre(HasSubstr("has 'self_attn.q_proj'; must be the last part"),
                          HasSubstr("has ''")));
}

TEST_F(JobSpecTest, WeightsMayBeRoundedToBf16) {
  EXPECT_THAT(ResolveWith([](v1::JobSpec& spec) {
                spec.mutable_training()->set_precision(v1::PRECISION_BF16);
              }),
              IsEmpty());
}

TEST_F(JobSpecTest, AnOracleHasTheFieldsOfItsKindOnly) {
  spec_.mutable_oracle()->set_pattern("a");
  EXPECT_THAT(Resolve(), ElementsAre("oracle.pattern: is given, but only kind regex has it"));
}

TEST_F(JobSpecTest, PathsOfOraclesAreUnderTheModelRoot) {
  v1::OracleSpec sum;
  sum.set_kind(v1::ORACLE_KIND_SUM);
  *sum.add_parts()->mutable_oracle() = spec_.oracle();
  sum.mutable_parts(0)->mutable_oracle()->set_path("nowhere/l.tsv");
  *spec_.mutable_oracle() = sum;
  EXPECT_THAT(Resolve(),
              ElementsAre(testing::AllOf(HasSubstr("oracle.parts[0].oracle.path: is /"),
                                         HasSubstr("/nowhere/l.tsv; there is no such file"))));
}

TEST_F(JobSpecTest, OnlineComparesTwo) {
  spec_.set_algorithm(v1::ALGORITHM_ONLINE_DPO);
  EXPECT_THAT(Resolve(), IsEmpty());
  spec_.mutable_sampling()->set_num_generations(5);
  EXPECT_THAT(Resolve(), ElementsAre("sampling.num_generations: is 5; must be 2 for "
                                     "pairing.strategy online"));
}

TEST_F(JobSpecTest, LengthPenaltyIsOfTheStrategiesThatLookForExtremes) {
  const auto with = [&](v1::PairingStrategy strategy, double penalty) {
    return ResolveWith([&](v1::JobSpec& spec) {
      spec.mutable_sampling()->set_num_generations(2);
      spec.mutable_pairing()->set_strategy(strategy);
      spec.mutable_pairing()->set_length_penalty(penalty);
    });
  };
  for (const auto strategy : {v1::PAIRING_STRATEGY_BEST_WORST, v1::PAIRING_STRATEGY_MAX_MAX,
                              v1::PAIRING_STRATEGY_MAX_RANDOM, v1::PAIRING_STRATEGY_BEST_FIRST}) {
    EXPECT_THAT(with(strategy, 1e6), IsEmpty()) << strategy;
    EXPECT_THAT(with(strategy, 2e6),
                ElementsAre("pairing.length_penalty: is 2000000; must be between 0 and 1000000"));
  }
  for (const auto strategy :
       {v1::PAIRING_STRATEGY_LARGE_MARGIN, v1::PAIRING_STRATEGY_WIN_RATE,
        v1::PAIRING_STRATEGY_ALL_PAIRS, v1::PAIRING_STRATEGY_RANDOM, v1::PAIRING_STRATEGY_ONLINE}) {
    EXPECT_THAT(with(strategy, 0.5),
                ElementsAre("pairing.length_penalty: is 0.5; must be 0 unless pairing.strategy is "
                            "best_worst, max_max, max_random or best_first"))
        << strategy;
  }
}

class OfflineJobTest : public JobSpecTest {
 protected:
  void SetUp() override {
    JobSpecTest::SetUp();
    WriteRows(R"("chosen": "a", "rejected": "b")");
    spec_.set_algorithm(v1::ALGORITHM_OFFLINE_DPO);
    spec_.clear_oracle();
  }

  void WriteRows(const std::string& responses) {
    std::string lines;
    for (int i = 0; i < 100; ++i) {
      absl::StrAppend(&lines, "{\"prompt\": \"p", i, "\", ", responses, "}\n");
    }
    ASSERT_OK(WriteFile(Path("prompts.jsonl"), lines));
  }
};

TEST_F(OfflineJobTest, ModelAndDatasetAreEnough) {
  EXPECT_THAT(Resolve(), IsEmpty());
  const ResolvedJobSpec once = ResolveJobSpec(spec_, root_);
  const ResolvedJobSpec twice = ResolveJobSpec(once.spec, root_);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once.spec, twice.spec));
}

TEST_F(OfflineJobTest, TheDatasetJudgesItsOwnResponsesAlone) {
  spec_.mutable_sampling()->set_num_generations(2);
  EXPECT_THAT(Resolve(), ElementsAre("oracle.kind: is dataset, but sampling.num_generations is 2; "
                                     "must be 0; oracle kind dataset knows the responses that the "
                                     "dataset gives alone"));
  spec_.mutable_sampling()->set_num_generations(0);
  spec_.mutable_pairing()->set_include_gold(true);
  EXPECT_THAT(Resolve(), testing::Contains(HasSubstr("oracle.kind: is dataset, but "
                                                     "pairing.include_gold is true")));
  spec_.mutable_pairing()->set_include_gold(false);
  spec_.mutable_sampling()->set_opponent(v1::OPPONENT_INITIAL);
  EXPECT_THAT(Resolve(), ElementsAre(HasSubstr("sampling.opponent: must be none")));
}

TEST_F(OfflineJobTest, ResponsesOfTheDatasetMayCompeteWithSamples) {
  spec_.mutable_sampling()->set_num_generations(2);
  spec_.mutable_oracle()->set_kind(v1::ORACLE_KIND_LENGTH);
  EXPECT_THAT(Resolve(), IsEmpty());
}

TEST_F(OfflineJobTest, SingleResponsesAreNotPaired) {
  WriteRows(R"("completion": "a", "label": true)");
  EXPECT_THAT(Resolve(), ElementsAre(HasSubstr(
                             "rows have a single response; use pairing.strategy: unpaired and "
                             "objective.loss_type kto, bco or apo_zero_unpaired")));
  spec_.mutable_pairing()->set_strategy(v1::PAIRING_STRATEGY_UNPAIRED);
  EXPECT_THAT(Resolve(), ElementsAre(HasSubstr("pairing.strategy: is unpaired, but "
                                               "objective.loss_type has a loss that compares")));
  spec_.mutable_objective()->add_loss_type(v1::LOSS_TYPE_KTO);
  EXPECT_THAT(Resolve(), IsEmpty());
  spec_.mutable_pairing()->set_min_margin(1);
  spec_.mutable_pairing()->set_tie_policy(v1::TIE_POLICY_SOFT);
  EXPECT_THAT(Resolve(), UnorderedElementsAre(
                             "pairing.min_margin: is 1; must be 0 for pairing.strategy unpaired, "
                             "which compares no responses",
                             "pairing.tie_policy: is soft; must be drop for pairing.strategy "
                             "unpaired, which compares no responses"));
}

TEST_F(OfflineJobTest, EveryRowNeedsResponses) {
  WriteRows(R"("gold": "a")");
  EXPECT_THAT(Resolve(), ElementsAre(HasSubstr("of which 100 of 100 rows have no responses")));
}

TEST_F(OfflineJobTest, GroupsAreOfOneSize) {
  spec_.mutable_pairing()->set_strategy(v1::PAIRING_STRATEGY_GROUP);
  spec_.mutable_objective()->add_loss_type(v1::LOSS_TYPE_INFONCA);
  EXPECT_THAT(Resolve(), IsEmpty());
  const std::string row = R"({"prompt": "p", "responses": ["a", "b", "c"], "rewards": [1, 2, 3]})";
  ASSERT_OK_AND_ASSIGN(const std::string rows, ReadFile(Path("prompts.jsonl")));
  ASSERT_OK(WriteFile(Path("prompts.jsonl"), rows + row));
  EXPECT_THAT(
      Resolve(),
      ElementsAre(HasSubstr("whose prompt 100 has 3 responses of its own, and the first one 2")));
}

}  // namespace
}  // namespace attune
