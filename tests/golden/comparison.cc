#include "tests/golden/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr double kPureFloat64 = 1e-9;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Outputs that the original computed in float32 from float64 inputs, against its file's dtype.
struct MixedOutput {
  const char* method;
  const char* path;    // begins with
  const char* hparam;  // only if the hyper-parameters contain this; empty: always
};
constexpr MixedOutput kMixedOutputs[] = {
    {"irpo_official", "", ""},                          // weights
    {"trl_head_dpo_compute_loss", "", "\"exo_pair\""},  // log(label_smoothing)
    {"dpop_rdpo_sampo", "", "\"lenN\""},                // lambda times lengths
    {"trl_bco", "", ""},                                // the running mean
    {"trl_v0_24_dpo_loss", "", "\"bco_pair\""},         // the running mean
    {"halos", "", "\"KTOTrainer\""},                    // the KL estimate
    {"diffusion_dpo_official", "implicit_acc", ""},
    {"trl_reward_model", "metrics.accuracy", ""},
};

bool IsNonFiniteText(const json& value) {
  return value == "NaN" || value == "Infinity" || value == "-Infinity";
}

std::string Show(const json& value) {
  if (value.is_number_float()) return absl::StrFormat("%.17g", value.get<double>());
  return value.dump();
}

// Numbers alone; NaN equals NaN.
class Comparer {
 public:
  explicit Comparer(const GoldenCase& golden) : golden_(golden) {}

  void Visit(const std::string& path, const json& wanted, const json& got) {
    if (wanted.is_object() && got.is_object()) return VisitObject(path, wanted, got);
    if (wanted.is_array() && got.is_array()) return VisitArray(path, wanted, got);
    if (wanted.is_null() && IsZero(got)) return;
    const bool number = wanted.is_number() || IsNonFiniteText(wanted);
    if (number && got.is_number()) return VisitNumber(path, wanted, got);
    if (wanted != got) Add(path, wanted, Show(got), kInfinity, 0);
  }

  std::vector<Deviation> deviations;

 private:
  static bool IsZero(const json& value) {
    if (value.is_array()) return std::all_of(value.begin(), value.end(), IsZero);
    return value.is_null() || value == 0.0;
  }

  static double Largest(const json& value) {
    double largest = 0;
    if (value.is_number()) return std::abs(value.get<double>());
    if (value.is_structured()) {
      for (const json& element : value) largest = std::max(largest, Largest(element));
    }
    return largest;
  }

  void VisitObject(const std::string& path, const json& wanted, const json& got) {
    for (const auto& [key, value] : wanted.items()) {
      const std::string inner = path.empty() ? key : absl::StrCat(path, ".", key);
      largest_ = Largest(value);
      if (got.contains(key)) {
        Visit(inner, value, got.at(key));
      } else {
        Add(inner, value, "not computed", kInfinity, 0);
      }
    }
  }

  void VisitArray(const std::string& path, const json& wanted, const json& got) {
    if (wanted.size() != got.size()) {
      return Add(path, absl::StrCat(wanted.size(), " elements"),
                 absl::StrCat(got.size(), " elements"), kInfinity, 0);
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      Visit(absl::StrCat(path, "[", i, "]"), wanted[i], got[i]);
    }
  }

  void VisitNumber(const std::string& path, const json& wanted, const json& got) {
    constexpr double kScaleMin = 1e-3;
    const double want = TensorOf(wanted).item<double>();
    const double have = got.get<double>();
    if (want == have || (std::isnan(want) && std::isnan(have))) return;
    const double tolerance = RelativeTolerance(golden_, path);
    double scale = std::max(std::abs(want), kScaleMin);
    if (tolerance > kPureFloat64) scale = std::max(scale, 0.1 * largest_);
    const double allowed = tolerance * scale;
    if (std::isfinite(want) && std::abs(want - have) <= allowed) return;
    const double error = std::abs(want - have);
    Add(path, wanted, Show(got), std::isfinite(error) ? error : kInfinity, allowed);
  }

  void Add(const std::string& path, const json& wanted, const std::string& got, double error,
           double allowed) {
    deviations.push_back({path, Show(wanted), got, error, allowed});
  }

  const GoldenCase& golden_;
  double largest_ = 0;  // of the output that is visited
};

}  // namespace

double RelativeTolerance(const GoldenCase& golden, const std::string& path) {
  constexpr double kMixed = 1e-6;
  if (absl::StartsWith(golden.dtype, "float32")) return 1e-4;
  for (const MixedOutput& mixed : kMixedOutputs) {
    if (golden.method == mixed.method && absl::StartsWith(path, mixed.path) &&
        absl::StrContains(golden.hparams.dump(), mixed.hparam)) {
      return kMixed;
    }
  }
  return kPureFloat64;
}

std::vector<Deviation> Compare(const GoldenCase& golden, const json& ours) {
  Comparer comparer(golden);
  comparer.Visit("", golden.outputs, ours);
  return std::move(comparer.deviations);
}

}  // namespace attune
