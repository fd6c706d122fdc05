#include "coordinator/pairing_spec.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/presets.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/job_files.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// What is said about best_worst pairs of a job with gold responses, after a change.
std::vector<std::string> CheckWith(const std::function<void(v1::PairingSpec&)>& change) {
  v1::JobSpec spec;
  spec.mutable_pairing()->set_strategy(v1::PAIRING_STRATEGY_BEST_WORST);
  spec.mutable_pairing()->set_include_gold(true);
  spec.mutable_pairing()->set_min_margin(0);
  spec = WithPresetAndDefaults(spec);
  change(*spec.mutable_pairing());
  Violations violations;
  CheckPairing(spec, &violations);
  return Lines(violations);
}

template <typename Value>
void ExpectRange(void (v1::PairingSpec::*set)(Value), const std::vector<Value>& good,
                 const std::vector<Value>& bad, const std::string& complaint) {
  for (const Value value : good) {
    EXPECT_THAT(CheckWith([&](v1::PairingSpec& spec) { (spec.*set)(value); }), IsEmpty()) << value;
  }
  for (const Value value : bad) {
    EXPECT_THAT(CheckWith([&](v1::PairingSpec& spec) { (spec.*set)(value); }),
                ElementsAre(absl::StrCat("pairing.", complaint)))
        << value;
  }
}

TEST(PairingSpecTest, NumbersHaveRanges) {
  ExpectRange<double>(&v1::PairingSpec::set_max_length_ratio, {0, 1, 1e6}, {0.5},
                      "max_length_ratio: is 0.5; must be 0 (off) or between 1 and 1000000");
  ExpectRange<double>(&v1::PairingSpec::set_max_length_ratio, {}, {-1},
                      "max_length_ratio: is -1; must be 0 (off) or between 1 and 1000000");
  ExpectRange<double>(&v1::PairingSpec::set_max_length_ratio, {}, {kNan},
                      "max_length_ratio: is nan; must be 0 (off) or between 1 and 1000000");
  ExpectRange<double>(&v1::PairingSpec::set_ches_percentile, {1e-6, 100}, {0},
                      "ches_percentile: is 0; must be above 0 and at most 100");
  ExpectRange<double>(&v1::PairingSpec::set_ches_percentile, {}, {100.5},
                      "ches_percentile: is 100.5; must be above 0 and at most 100");
}

TEST(PairingSpecTest, DefectsHaveRanges) {
  const auto with = [](uint32_t ngram, uint32_t repeats) {
    return CheckWith([&](v1::PairingSpec& spec) {
      spec.mutable_defects()->set_repeated_ngram(ngram);
      spec.mutable_defects()->set_max_repeats(repeats);
    });
  };
  EXPECT_THAT(with(0, 1), IsEmpty());  // repeats of nothing
  EXPECT_THAT(with(64, 1000), IsEmpty());
  EXPECT_THAT(with(65, 1001),
              ElementsAre("pairing.defects.repeated_ngram: is 65; must be between 0 and 64",
                          "pairing.defects.max_repeats: is 1001; must be between 1 and 1000"));
  EXPECT_THAT(with(4, 0),
              ElementsAre("pairing.defects.max_repeats: is 0; must be between 1 and 1000"));
}

TEST(PairingSpecTest, EnumNumbersThatDoNotExistAreRefused) {
  EXPECT_THAT(CheckWith([](v1::PairingSpec& spec) {
                spec.set_tie_policy(static_cast<v1::TiePolicy>(9));
                spec.set_target(static_cast<v1::PairTarget>(8));
                spec.set_win_rate(static_cast<v1::WinRate>(-7));
                spec.add_sources(static_cast<v1::PairSource>(6));
                spec.add_sources(v1::PAIR_SOURCE_UNSPECIFIED);
              }),
              ElementsAre("pairing.tie_policy: is 9; must be one of drop, first, soft",
                          "pairing.target: is 8; must be one of hard, win_rate, score, "
                          "preference",
                          "pairing.win_rate: is -7; must be one of others, bradley_terry",
                          "pairing.sources: has 6; must be of gold_student, student_gold, "
                          "student_student",
                          "pairing.sources: has 0; must be of gold_student, student_gold, "
                          "student_student"));
}

TEST(PairingSpecTest, SourcesAreListedOnceAndNeedGold) {
  const auto with = [](bool gold, const std::vector<v1::PairSource>& sources) {
    return CheckWith([&](v1::PairingSpec& spec) {
      spec.set_include_gold(gold);
      for (v1::PairSource source : sources) spec.add_sources(source);
    });
  };
  EXPECT_THAT(with(true, {v1::PAIR_SOURCE_STUDENT_STUDENT, v1::PAIR_SOURCE_GOLD_STUDENT,
                          v1::PAIR_SOURCE_STUDENT_GOLD}),
              IsEmpty());
  EXPECT_THAT(with(false, {v1::PAIR_SOURCE_STUDENT_STUDENT}), IsEmpty());
  EXPECT_THAT(with(false, {v1::PAIR_SOURCE_STUDENT_GOLD}),
              ElementsAre("pairing.sources: has student_gold, which needs include_gold: true"));
  EXPECT_THAT(with(true, {v1::PAIR_SOURCE_STUDENT_GOLD, v1::PAIR_SOURCE_STUDENT_GOLD}),
              ElementsAre("pairing.sources: has student_gold twice"));
}

TEST(PairingSpecTest, ReplayLeavesRoomForTheRoundsOwnPairs) {
  const auto with = [](const std::vector<double>& shares) {
    return CheckWith([&](v1::PairingSpec& spec) {
      spec.mutable_replay()->Assign(shares.begin(), shares.end());
    });
  };
  EXPECT_THAT(with({0.3, 0.15}), IsEmpty());
  EXPECT_THAT(with(std::vector<double>(16, 0.05)), IsEmpty());
  EXPECT_THAT(with({0.5, 0.5}),
              ElementsAre("pairing.replay: has shares of 1 together; must be below 1, the rest is "
                          "the round's own"));
  for (const double share : {1.0, -0.1, kNan}) {
    EXPECT_THAT(with({0.1, share}), ElementsAre(HasSubstr("; must be at least 0 and below 1")));
  }
  EXPECT_THAT(with(std::vector<double>(17, 0)),
              ElementsAre("pairing.replay: has 17 shares; at most 16"));
}

TEST(PairingSpecTest, TeacherWinsNeedsGoldAndNoScores) {
  const auto with = [](const std::function<void(v1::PairingSpec&)>& change) {
    return CheckWith([&](v1::PairingSpec& spec) {
      spec.set_strategy(v1::PAIRING_STRATEGY_TEACHER_WINS);
      change(spec);
    });
  };
  EXPECT_THAT(with([](v1::PairingSpec& spec) { spec.set_min_chosen_score(5); }), IsEmpty());
  EXPECT_THAT(with([](v1::PairingSpec& spec) {
                spec.set_include_gold(false);
                spec.set_min_margin(2);
                spec.set_target(v1::PAIR_TARGET_WIN_RATE);
              }),
              ElementsAre("pairing.include_gold: is false; must be true for pairing.strategy "
                          "teacher_wins",
                          "pairing.min_margin: is 2; must be 0 for pairing.strategy teacher_wins, "
                          "which goes by no scores",
                          "pairing.target: is win_rate; must be hard for pairing.strategy "
                          "teacher_wins, which goes by no scores"));
  EXPECT_THAT(
      with([](v1::PairingSpec& spec) { spec.add_sources(v1::PAIR_SOURCE_STUDENT_STUDENT); }),
      ElementsAre("pairing.sources: must have gold_student for pairing.strategy teacher_wins, "
                  "which makes no other pairs"));
}

TEST(PairingSpecTest, GroupHasNoPairs) {
  const auto with = [](const std::function<void(v1::PairingSpec&)>& change) {
    return CheckWith([&](v1::PairingSpec& spec) {
      spec.set_strategy(v1::PAIRING_STRATEGY_GROUP);
      change(spec);
    });
  };
  EXPECT_THAT(with([](v1::PairingSpec& spec) {
                spec.set_tie_policy(v1::TIE_POLICY_FIRST);
                spec.set_max_pairs_per_prompt(7);
                spec.add_replay(0.5);
              }),
              IsEmpty());
  EXPECT_THAT(with([](v1::PairingSpec& spec) {
                spec.set_tie_policy(v1::TIE_POLICY_SOFT);
                spec.set_ches_percentile(5);
              }),
              ElementsAre("pairing.tie_policy: is soft; must be drop or first for "
                          "pairing.strategy group, whose lists are no pairs",
                          "pairing.ches_percentile: is 5; must be 100 for pairing.strategy group, "
                          "whose lists are no pairs"));
}

}  // namespace
}  // namespace attune
