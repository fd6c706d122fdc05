#include "tests/reference/reference_rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "common/check.h"
#include "tests/reference/config_value.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr double kPi = std::numbers::pi;

// The fields of config.json that rotary embeddings need, whichever of the spellings it uses:
// `rope_scaling` beside `rope_theta`, or both within `rope_parameters`.
struct RopeFields {
  json scaling = json::object();
  std::string type;
  double theta;
  int64_t dims;  // of a head, that are rotated
  double max_positions;
  double original_max_positions;
};

RopeFields ReadFields(const json& config, int64_t head_dim) {
  RopeFields fields;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {  // the latter goes first
    if (config.contains(key) && config[key].is_object() && !config[key].empty()) {
      fields.scaling = config[key];
    }
  }
  const json& scaling = fields.scaling;
  fields.type = ConfigValue<std::string>(scaling, "rope_type",
                                         ConfigValue<std::string>(scaling, "type", "default"));
  fields.theta = ConfigValue(scaling, "rope_theta", ConfigValue(config, "rope_theta", 10000.0));
  const double partial = ConfigValue(scaling, "partial_rotary_factor",
                                     ConfigValue(config, "partial_rotary_factor", 1.0));
  fields.dims = static_cast<int64_t>(static_cast<double>(head_dim) * partial);
  ATTUNE_CHECK(fields.dims > 0 && fields.dims % 2 == 0);
  const bool phi3 = config["model_type"] == "phi3";
  fields.max_positions = ConfigValue(config, "max_position_embeddings", phi3 ? 4096.0 : 2048.0);
  // A field of the config goes before one of the scaling; phi3 always has it.
  fields.original_max_positions =
      ConfigValue(scaling, "original_max_position_embeddings", fields.max_positions);
  if (phi3) fields.original_max_positions = 4096;
  fields.original_max_positions =
      ConfigValue(config, "original_max_position_embeddings", fields.original_max_positions);
  // The first releases of Phi-3 called it "su"; transformers reads "yarn" the same way there.
  if (phi3 && (fields.type == "su" || fields.type == "yarn")) fields.type = "longrope";
  return fields;
}

std::vector<double> UnscaledFrequencies(double theta, int64_t dims) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < dims; i += 2) {
    frequencies.push_back(1 / std::pow(theta, static_cast<double>(i) / static_cast<double>(dims)));
  }
  return frequencies;
}

// Long wavelengths are stretched by `factor`, short ones kept, and those between blended.
void ScaleLlama3(const RopeFields& fields, std::vector<double>* frequencies) {
  const double factor = fields.scaling["factor"].get<double>();
  const double low_factor = fields.scaling["low_freq_factor"].get<double>();
  const double high_factor = fields.scaling["high_freq_factor"].get<double>();
  for (double& frequency : *frequencies) {
    const double wavelength = 2 * kPi / frequency;
    const double turns = fields.original_max_positions / wavelength;  // over the trained length
    if (turns > high_factor) continue;
    if (turns < low_factor) {
      frequency /= factor;
      continue;
    }
    const double keep = (turns - low_factor) / (high_factor - low_factor);
    frequency = keep * frequency + (1 - keep) * frequency / factor;
  }
}

// The index (not whole) of the frequency that turns `rotations` times over the trained length.
double YarnDimension(const RopeFields& fields, double rotations) {
  return static_cast<double>(fields.dims) *
         std::log(fields.original_max_positions / (rotations * 2 * kPi)) /
         (2 * std::log(fields.theta));
}

double YarnMagnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void ScaleYarn(const RopeFields& fields, ReferenceRope* rope) {
  const json& scaling = fields.scaling;
  const double factor =
      ConfigValue(scaling, "factor", fields.max_positions / fields.original_max_positions);
  const double mscale = ConfigValue(scaling, "mscale", 0.0);
  const double mscale_all = ConfigValue(scaling, "mscale_all_dim", 0.0);
  const double magnitude = mscale != 0 && mscale_all != 0
                               ? YarnMagnitude(factor, mscale) / YarnMagnitude(factor, mscale_all)
                               : YarnMagnitude(factor, 1);
  rope->attention_factor = ConfigValue(scaling, "attention_factor", magnitude);

  double low = YarnDimension(fields, ConfigValue(scaling, "beta_fast", 32.0));
  double high = YarnDimension(fields, ConfigValue(scaling, "beta_slow", 1.0));
  if (ConfigValue(scaling, "truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(fields.dims - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope->frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    double& frequency = rope->frequencies[i];
    frequency = frequency / factor * ramp + frequency * (1 - ramp);
  }
}

void ScaleLongrope(const RopeFields& fields, int64_t sequence_length, ReferenceRope* rope) {
  const double original = fields.original_max_positions;
  const double factor = ConfigValue(fields.scaling, "factor", fields.max_positions / original);
  rope->attention_factor =
      ConfigValue(fields.scaling, "attention_factor",
                  factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original)));
  const bool is_long = static_cast<double>(sequence_length) > original;
  const auto factors =
      fields.scaling[is_long ? "long_factor" : "short_factor"].get<std::vector<double>>();
  ATTUNE_CHECK(factors.size() == rope->frequencies.size());
  for (size_t i = 0; i < factors.size(); ++i) rope->frequencies[i] /= factors[i];
}

}  // namespace

ReferenceRope MakeReferenceRope(const json& config, int64_t head_dim, int64_t sequence_length) {
  const RopeFields fields = ReadFields(config, head_dim);
  ReferenceRope rope;
  rope.frequencies = UnscaledFrequencies(fields.theta, fields.dims);
  if (fields.type == "linear") {
    for (double& frequency : rope.frequencies) frequency /= fields.scaling["factor"].get<double>();
  } else if (fields.type == "dynamic") {
    const double factor = fields.scaling["factor"].get<double>();
    const double length = std::max(static_cast<double>(sequence_length), fields.max_positions);
    const double stretch = factor * length / fields.max_positions - (factor - 1);
    const double dims = static_cast<double>(fields.dims);
    rope.frequencies =
        UnscaledFrequencies(fields.theta * std::pow(stretch, dims / (dims - 2)), fields.dims);
  } else if (fields.type == "llama3") {
    ScaleLlama3(fields, &rope.frequencies);
  } else if (fields.type == "yarn") {
    ScaleYarn(fields, &rope);
  } else if (fields.type == "longrope") {
    ScaleLongrope(fields, sequence_length, &rope);
  } else {
    ATTUNE_CHECK(fields.type == "default");
  }
  return rope;
}

void RotateHead(const ReferenceRope& rope, int64_t position, double* head) {
  const size_t half = rope.frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * rope.frequencies[i];
    const double cosine = std::cos(angle) * rope.attention_factor;
    const double sine = std::sin(angle) * rope.attention_factor;
    const double first = head[i];
    const double second = head[i + half];
    head[i] = first * cosine - second * sine;
    head[i + half] = second * cosine + first * sine;
  }
}

}  // namespace attune
