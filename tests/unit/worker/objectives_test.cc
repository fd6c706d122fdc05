// Against numbers recorded from the published implementations (tests/data/golden).
#include "worker/objectives.h"

#include <fstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using nlohmann::json;

json Golden(const std::string& name) {
  std::ifstream in(ATTUNE_SOURCE_DIR "/tests/data/golden/" + name + ".json");
  EXPECT_TRUE(in.good()) << name;
  return json::parse(in);
}

std::vector<json> Cases(const std::string& name, size_t count) {
  std::vector<json> cases = Golden(name)["cases"];
  EXPECT_EQ(cases.size(), count);
  return cases;
}

at::Tensor Doubles(const json& values) {
  return at::tensor(values.get<std::vector<double>>(), at::kDouble);
}

PairLogProbs InputsOf(const json& test_case) {
  const json in = Golden(test_case["inputs_ref"]);
  PairLogProbs logps = {Doubles(in["policy_chosen_logps"]).set_requires_grad(true),
                        Doubles(in["policy_rejected_logps"]).set_requires_grad(true),
                        Doubles(in["reference_chosen_logps"]),
                        Doubles(in["reference_rejected_logps"]), at::Tensor()};
  logps.target = at::ones_like(logps.chosen_reference);
  return logps;
}

void ExpectNear(const at::Tensor& actual, const json& expected) {
  ASSERT_EQ(actual.numel(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const double value = expected[i];
    EXPECT_NEAR(actual[i].item<double>(), value, 1e-9 * std::abs(value) + 1e-15) << "pair " << i;
  }
}

void ExpectLossesAndGradients(const Objective& objective, PairLogProbs logps, const json& out) {
  const PairLosses result = PreferenceLosses(objective, logps);
  ExpectNear(result.losses, out["losses"]);
  result.losses.sum().backward();
  ExpectNear(logps.chosen.grad(), out["grad_of_sum"]["policy_chosen_logps"]);
  ExpectNear(logps.rejected.grad(), out["grad_of_sum"]["policy_rejected_logps"]);
  EXPECT_FALSE(result.chosen_rewards.requires_grad());
}

TEST(ObjectivesTest, SigmoidIsThePublishedDpo) {
  for (const json& test_case : Cases("dpo_eric_mitchell", 5)) {
    const json& hparams = test_case["hparams"];
    if (hparams.contains("ipo")) continue;
    PairLogProbs logps = InputsOf(test_case);
    const Objective objective = {LossKind::kSigmoid, hparams["beta"],
                                 hparams.value("label_smoothing", 0.0)};
    const bool reference_free = hparams.value("reference_free", false);
    if (!reference_free) {
      const PairLosses result = PreferenceLosses(objective, logps);
      ExpectNear(result.chosen_rewards, test_case["outputs"]["chosen_rewards"]);
      ExpectNear(result.rejected_rewards, test_case["outputs"]["rejected_rewards"]);
    } else {
      logps.chosen_reference = at::zeros_like(logps.target);
      logps.rejected_reference = at::zeros_like(logps.target);
    }
    ExpectLossesAndGradients(objective, logps, test_case["outputs"]);
  }
}

TEST(ObjectivesTest, SigmoidIsTrlsSigmoidWithLabelSmoothing) {
  for (const json& test_case : Cases("trl_v0_24_dpo_loss", 21)) {
    const json& hparams = test_case["hparams"];
    if (hparams["loss_type"] != "sigmoid" || hparams.contains("f_divergence_type")) continue;
    ExpectLossesAndGradients({LossKind::kSigmoid, hparams["beta"], hparams["label_smoothing"]},
                             InputsOf(test_case), test_case["outputs"]);
  }
}

TEST(ObjectivesTest, DnoRegressesToTheSigmoidOfTheWinRateGap) {
  for (const json& test_case : Cases("derived/dno_soft_regression", 2)) {
    PairLogProbs logps = InputsOf(test_case);
    logps.target = at::sigmoid(Doubles(test_case["extra_inputs"]["r1"]) -
                               Doubles(test_case["extra_inputs"]["r2"]));
    ExpectLossesAndGradients({LossKind::kDno, test_case["hparams"]["eta"], 0.0}, logps,
                             test_case["outputs"]);
  }
}

TEST(ObjectivesTest, DnoWithHardTargetsIsDpo) {
  const json test_case = Cases("dpo_eric_mitchell", 5)[0];
  ExpectLossesAndGradients({LossKind::kDno, test_case["hparams"]["beta"], 0.0},
                           InputsOf(test_case), test_case["outputs"]);
}

TEST(ObjectivesTest, ASoftTargetIsLabelSmoothingByAnotherName) {
  PairLogProbs logps = InputsOf(Cases("dpo_eric_mitchell", 5)[0]);
  const at::Tensor smoothed = PreferenceLosses({LossKind::kSigmoid, 0.1, 0.2}, logps).losses;
  logps.target = at::full_like(logps.target, 0.8);
  const at::Tensor soft = PreferenceLosses({LossKind::kSigmoid, 0.1, 0.0}, logps).losses;
  EXPECT_TRUE(at::allclose(smoothed, soft, 1e-12, 0));
}

}  // namespace
}  // namespace attune
