#include "tests/golden/known_differences.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace attune {
namespace {

using nlohmann::json;

// The last index of "grad_of_sum.policy_chosen_logps[5]", or -1.
int64_t RowOf(const std::string& path) {
  const size_t open = path.rfind('[');
  int64_t row = -1;
  if (open == std::string::npos) return row;
  const std::string digits = path.substr(open + 1, path.size() - open - 2);
  return absl::SimpleAtoi(digits, &row) ? row : -1;
}

double LogRatio(const GoldenCase& golden, const char* side, size_t row) {
  const std::string name = std::string(side) + "_logps";
  return golden.inputs.at("policy_" + name).at(row).get<double>() -
         golden.inputs.at("reference_" + name).at(row).get<double>();
}

bool PolicyIsReference(const GoldenCase& golden, const Deviation& deviation) {
  const int64_t row = RowOf(deviation.path);
  return golden.hparams.value("loss_type", "") == "dpop" && row >= 0 &&
         absl::StartsWith(deviation.path, "grad_of_sum.policy_chosen_logps[") &&
         LogRatio(golden, "chosen", row) == 0;
}

// Some log-ratio of the row, or of any row for a mean, is beyond where we clamp exponents.
bool ExponentIsClamped(const GoldenCase& golden, const Deviation& deviation) {
  constexpr double kExponentMax = 80;
  const std::string kind =
      golden.hparams.value("function", "") + " " + TextOr(golden.hparams, "f_divergence_type", "");
  double alpha = 1;
  if (absl::StrContains(kind, "alpha")) {
    alpha = golden.hparams.value("alpha", 1.0);
    const json parameters = golden.hparams.value("f_divergence_params", json());
    if (parameters.is_object()) alpha = NumberOr(parameters, "alpha_divergence_coef", 1);
  } else if (!absl::StrContains(kind, "forward")) {
    return false;
  }
  const int64_t row = RowOf(deviation.path);
  const size_t rows = golden.inputs.at("policy_chosen_logps").size();
  for (size_t i = 0; i < rows; ++i) {
    if (row >= 0 && static_cast<size_t>(row) != i) continue;
    const double least = std::min(LogRatio(golden, "chosen", i), LogRatio(golden, "rejected", i));
    if (-alpha * least > kExponentMax) return true;
  }
  return false;
}

// The leak multiplies the sum over the other items by at most 1 + exp(-100 beta) exp(beta spread).
bool DiagonalLeaks(const GoldenCase& golden, const Deviation& deviation) {
  constexpr double kVisible = 0.25;  // exp(-25) is below the tolerance
  return golden.hparams.value("function", "") == "rdpo_loss" &&
         golden.hparams.value("beta", 0.1) < kVisible && deviation.error < 0.1;
}

bool WantsNan(const GoldenCase&, const Deviation& deviation) {
  return deviation.wanted == "\"NaN\"";
}

bool CountsPadding(const GoldenCase&, const Deviation& deviation) {
  for (const char* name : {"stats.objective/kl[", "stats.objective/non_score_reward[",
                           "stats.objective/rlhf_reward[", "stats.objective/entropy["}) {
    if (absl::StartsWith(deviation.path, name)) return true;
  }
  return false;
}

bool IsSpread(const GoldenCase&, const Deviation& deviation) {
  return deviation.path == "running.std" || deviation.path == "running.var";
}

bool IsTokenCount(const GoldenCase&, const Deviation& deviation) {
  return deviation.path == "metrics.num_tokens";
}

bool KlHasGradient(const GoldenCase& golden, const Deviation& deviation) {
  return golden.hparams.value("loss_type", "") == "kto_pair" &&
         absl::StartsWith(deviation.path, "grad_of_sum.");
}

bool IsOtherQuantile(const GoldenCase& golden, const Deviation&) {
  return golden.hparams.at("quantile").get<double>() != 0;
}

bool IsPairOfOneText(const GoldenCase& golden, const Deviation& deviation) {
  const int64_t pair = RowOf(deviation.path);
  if (pair < 0 || deviation.got != "null") return false;
  const json& wanted = golden.outputs.at("pairs").at(static_cast<size_t>(pair));
  return wanted.at("chosen") == wanted.at("rejected");
}

struct KnownDifference {
  const char* method;
  bool (*applies)(const GoldenCase& golden, const Deviation& deviation);
  const char* reason;
};

constexpr KnownDifference kKnownDifferences[] = {
    {"ches_quantile_slice", IsOtherQuantile,
     "the filter of the paper keeps the lowest scores, quantile 0; we make no other slice"},
    {"dpop_rdpo_sampo", PolicyIsReference,
     "at policy == reference the released code takes half of the penalty's gradient (a maximum of "
     "tensors), we take none"},
    {"f_dpo_official", ExponentIsClamped,
     "we clamp exponents at 80, so that extreme log-ratios give finite gradients"},
    {"trl_v0_24_dpo_loss", ExponentIsClamped,
     "we clamp exponents at 80, so that extreme log-ratios give finite gradients"},
    {"irpo_official", DiagonalLeaks,
     "the released code masks an item's own term by -100 before it multiplies by beta, which leaks "
     "exp(-100 beta)"},
    {"halos", WantsNan,
     "the released code divides by the number of log-ratios that are not zero, we divide by "
     "lengths"},
    {"sppo_official", KlHasGradient,
     "the released code differentiates the reference point of KTO, we do not"},
    {"trl_online_dpo_training_step", CountsPadding,
     "the released code counts padding in this statistic"},
    {"trl_bco", IsSpread, "the loss does not use the spread of the rewards, and we do not keep it"},
    {"pairs_openrlhf_iterative_dpo", IsPairOfOneText,
     "the released code keeps degenerate pairs of a text with itself where all rewards are equal, "
     "we drop them"},
    {"trl_reward_model", IsTokenCount, "counts tokens of texts that are not in the file"},
};

struct NotImplemented {
  const char* method;
  const char* reason;
};

constexpr NotImplemented kNotImplemented[] = {
    {"tikmix_d_objective",
     "weighs domains of prompts, which is not built; it is no objective of training"},
};

}  // namespace

const char* KnownReason(const GoldenCase& golden, const Deviation& deviation) {
  for (const KnownDifference& known : kKnownDifferences) {
    if (golden.method == known.method && known.applies(golden, deviation)) return known.reason;
  }
  return nullptr;
}

const char* NotImplementedReason(const std::string& method) {
  for (const NotImplemented& known : kNotImplemented) {
    if (method == known.method) return known.reason;
  }
  return nullptr;
}

}  // namespace attune
