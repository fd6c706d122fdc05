#include "coordinator/gate.h"

#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::RoundRecord Published(uint32_t round, uint32_t best) {
  v1::RoundRecord record;
  record.set_round(round);
  record.set_phase(v1::ROUND_PHASE_PUBLISHED);
  record.mutable_trained_policy()->set_round(round);
  record.set_best_round(best);
  return record;
}

class GateTest : public testing::Test {
 protected:
  GateTest() { spec_.set_gate_win_rate(0.5); }

  // Round 2 after round 1, the best, with this result against it.
  v1::RoundRecord AfterRound2(double win_rate, double high) const {
    v1::RoundRecord record = Published(2, 0);
    for (uint32_t round : {0, 1}) {
      v1::HeadToHead& result = *record.mutable_evaluation()->add_against();
      result.set_round(round);
      result.set_win_rate(round == 1 ? win_rate : 0.9);
      result.set_win_rate_high(round == 1 ? high : 0.95);
    }
    ApplyGate(spec_, before_, &record);
    return record;
  }

  v1::EvaluationSpec spec_;
  const std::vector<v1::RoundRecord> before_ = {Published(0, 0), Published(1, 1)};
};

TEST_F(GateTest, ARoundThatWinsHalfAgainstTheBestIsTheBest) {
  EXPECT_EQ(AfterRound2(0.5, 0.6).best_round(), 2u);
  EXPECT_EQ(AfterRound2(0.49, 0.6).best_round(), 1u);
}

TEST_F(GateTest, ALossThatMayBeChanceIsNone) {
  spec_.set_gate(v1::GATE_STOP);
  const v1::RoundRecord record = AfterRound2(0.45, 0.5);
  EXPECT_FALSE(record.gate_stopped());
  EXPECT_FALSE(record.has_next_policy());
  EXPECT_EQ(record.best_round(), 1u);
}

TEST_F(GateTest, ContinueOnlyTells) {
  spec_.set_gate(v1::GATE_CONTINUE);
  const v1::RoundRecord record = AfterRound2(0.2, 0.4);
  EXPECT_FALSE(record.gate_stopped());
  EXPECT_FALSE(record.has_next_policy());
  EXPECT_EQ(GateMessage(record), "");
}

TEST_F(GateTest, StopEndsTheJobWithTheBestRound) {
  spec_.set_gate(v1::GATE_STOP);
  const v1::RoundRecord record = AfterRound2(0.2, 0.4);
  EXPECT_TRUE(record.gate_stopped());
  EXPECT_EQ(record.best_round(), 1u);
  EXPECT_FALSE(record.has_next_policy());
  EXPECT_EQ(GateMessage(record),
            "the gate stopped the job after round 2, whose policy lost to that of round 1, the "
            "best one");
}

TEST_F(GateTest, RollBackGoesOnFromTheBestRound) {
  spec_.set_gate(v1::GATE_ROLL_BACK);
  const v1::RoundRecord record = AfterRound2(0.2, 0.4);
  EXPECT_FALSE(record.gate_stopped());
  ASSERT_TRUE(record.has_next_policy());
  EXPECT_EQ(record.next_policy().round(), 1u);
}

TEST_F(GateTest, AStricterRateAsksForMoreThanHalf) {
  spec_.set_gate(v1::GATE_STOP);
  spec_.set_gate_win_rate(0.7);
  const v1::RoundRecord record = AfterRound2(0.6, 0.65);
  EXPECT_TRUE(record.gate_stopped());
  EXPECT_EQ(record.best_round(), 1u);  // what lost is not the best
}

TEST_F(GateTest, WithoutAComparisonTheNewestIsTheBest) {
  spec_.set_gate(v1::GATE_STOP);
  v1::RoundRecord record = Published(2, 0);
  ApplyGate(spec_, before_, &record);
  EXPECT_EQ(record.best_round(), 2u);
  EXPECT_FALSE(record.gate_stopped());
  v1::RoundRecord initial = Published(0, 0);
  ApplyGate(spec_, {}, &initial);
  EXPECT_EQ(initial.best_round(), 0u);
}

}  // namespace
}  // namespace attune
