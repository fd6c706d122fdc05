#include "model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "model/rope.h"

namespace attune {
namespace {

using Json = nlohmann::json;

struct RopeKind {
  const char* name;
  std::vector<const char*> fields;  // of its own
};

const std::vector<RopeKind>& Kinds() {
  static const auto& kinds = *new std::vector<RopeKind>{
      {"default", {}},
      {"linear", {"factor"}},
      {"dynamic", {"factor", "original_max_position_embeddings"}},
      {"llama3",
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}},
      {"yarn",
       {"factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
        "truncate", "original_max_position_embeddings"}},
      {"longrope",
       {"factor", "short_factor", "long_factor", "attention_factor",
        "original_max_position_embeddings"}},
  };
  return kinds;
}

constexpr const char* kCommonFields[] = {"rope_theta", "rope_type", "type",
                                         "partial_rotary_factor"};

// The object that describes the rotation and the rest of config.json.
struct RopeFields {
  ConfigReader* config;
  ConfigReader rope;
  bool phi3;
};

std::string KindOf(RopeFields* fields) {
  std::string kind = fields->rope.Text("rope_type", fields->rope.Text("type", "default"));
  // Phi-3 called its longrope "su" and "yarn" at first.
  if (fields->phi3 && (kind == "su" || kind == "yarn")) kind = "longrope";
  return kind;
}

// False, with a problem noted, unless the kind and all its fields are known.
bool CheckKind(RopeFields* fields, const std::string& kind) {
  const auto it =
      absl::c_find_if(Kinds(), [&](const RopeKind& known) { return known.name == kind; });
  const bool allowed = !fields->phi3 || kind == "default" || kind == "longrope";
  if (it == Kinds().end() || !allowed) {
    fields->rope.Refuse("rope_type", kind,
                        fields->phi3 ? "only default and longrope are supported here"
                                     : "only default, linear, dynamic, llama3, yarn and longrope "
                                       "are supported");
    return false;
  }
  bool known = true;
  for (const auto& [name, value] : fields->rope.object().items()) {
    const auto is_name = [&name = name](const char* field) { return name == field; };
    if (value.is_null() || absl::c_any_of(kCommonFields, is_name) ||
        absl::c_any_of(it->fields, is_name)) {
      continue;
    }
    fields->rope.Refuse(name, value,
                        absl::StrCat("a field of this name is not known to rope_type ", kind));
    known = false;
  }
  return known;
}

double RequiredNumber(ConfigReader* reader, const char* name) {
  if (reader->Find(name) == nullptr) reader->Missing(name);
  return reader->Number(name, 1);
}

// It may stand beside the rope's object, inside it, or both.
int64_t OriginalPositions(RopeFields* fields, int64_t max_position_embeddings) {
  const char* const name = "original_max_position_embeddings";
  std::optional<int64_t> outside;
  if (fields->phi3) outside = 4096;  // Phi3Config's default
  outside = fields->config->OptionalSize(name, kPositionsMax, outside);
  const std::optional<int64_t> inside =
      fields->rope.OptionalSize(name, kPositionsMax, std::nullopt);
  if (outside.has_value() && inside.has_value() && outside != inside) {
    fields->rope.Refuse(name, *inside,
                        absl::StrCat("it must be that beside rope_scaling, ", *outside));
  }
  return outside.value_or(inside.value_or(max_position_embeddings));
}

Llama3Scaling ReadLlama3(RopeFields* fields, int64_t original) {
  const Llama3Scaling scaling = {
      .factor = RequiredNumber(&fields->rope, "factor"),
      .low_freq_factor = RequiredNumber(&fields->rope, "low_freq_factor"),
      .high_freq_factor = RequiredNumber(&fields->rope, "high_freq_factor"),
      .original_max_position_embeddings = static_cast<double>(original)};
  if (!(scaling.low_freq_factor < scaling.high_freq_factor)) {
    fields->rope.Refuse(
        "high_freq_factor", scaling.high_freq_factor,
        absl::StrCat("it must be above low_freq_factor, ", scaling.low_freq_factor));
  }
  return scaling;
}

// `factor` counts when it is given, as in transformers 5; versions 4.5x took
// max_position_embeddings / original_max_position_embeddings instead wherever the latter was given.
Rope ReadYarn(RopeFields* fields, double theta, int64_t dim, int64_t max_position_embeddings) {
  const double original = static_cast<double>(OriginalPositions(fields, max_position_embeddings));
  ConfigReader* const rope = &fields->rope;
  const YarnScaling scaling = {
      .factor = rope->OptionalNumber("factor", std::nullopt)
                    .value_or(static_cast<double>(max_position_embeddings) / original),
      .beta_fast = rope->Number("beta_fast", 32),
      .beta_slow = rope->Number("beta_slow", 1),
      .truncate = rope->Bool("truncate", true),
      .original_max_position_embeddings = original};
  if (!(theta > 1)) rope->Refuse("rope_theta", theta, "yarn needs one above 1");
  const std::optional<double> mscale =
      rope->IsOff("mscale") ? std::nullopt : rope->OptionalNumber("mscale", std::nullopt);
  const std::optional<double> mscale_all_dim =
      rope->IsOff("mscale_all_dim") ? std::nullopt
                                    : rope->OptionalNumber("mscale_all_dim", std::nullopt);
  double factor = YarnMscale(scaling.factor, 1);
  if (mscale.has_value() && mscale_all_dim.has_value()) {
    factor = YarnMscale(scaling.factor, *mscale) / YarnMscale(scaling.factor, *mscale_all_dim);
  }
  factor = rope->OptionalNumber("attention_factor", std::nullopt).value_or(factor);
  return {YarnFrequencies(theta, dim, scaling), static_cast<float>(factor)};
}

// One positive number for each frequency.
std::vector<float> ReadFactors(ConfigReader* rope, const char* name, int64_t count) {
  const std::vector<float> ones(count, 1.0f);
  const Json* const list = rope->Find(name);
  if (list == nullptr) {
    rope->Missing(name);
    return ones;
  }
  std::vector<float> factors;
  if (list->is_array()) {
    for (const Json& factor : *list) {
      if (!factor.is_number() || !(factor.get<double>() > 1e-6 && factor.get<double>() < 1e6))
        break;
      factors.push_back(factor.get<float>());
    }
  }
  if (static_cast<int64_t>(factors.size()) == count && factors.size() == list->size()) {
    return factors;
  }
  rope->Refuse(name, *list, absl::StrCat("it must list ", count, " numbers from 1e-6 to 1e6"));
  return ones;
}

Rope ReadLongRope(RopeFields* fields, double theta, int64_t dim, ModelConfig* config) {
  const int64_t original = OriginalPositions(fields, config->max_position_embeddings);
  ConfigReader* const rope = &fields->rope;
  const std::vector<float> factors = ReadFactors(rope, "short_factor", dim / 2);
  ReadFactors(rope, "long_factor", dim / 2);  // of sequences that are too long here
  const double ratio = static_cast<double>(config->max_position_embeddings) / original;
  const double factor = rope->OptionalNumber("factor", std::nullopt).value_or(ratio);
  double scale = 1;
  if (factor > 1 && original > 1) scale = std::sqrt(1 + std::log(factor) / std::log(original));
  scale = rope->OptionalNumber("attention_factor", std::nullopt).value_or(scale);
  config->max_position_embeddings = std::min(config->max_position_embeddings, original);
  return {LongRopeFrequencies(theta, dim, factors), static_cast<float>(scale)};
}

// The object in use: rope_scaling unless it is empty, as in transformers.
const Json* RopeObject(ConfigReader* reader, std::string* name) {
  static const Json& none = *new Json(Json::object());
  *name = reader->IsOff("rope_scaling") ? "rope_parameters" : "rope_scaling";
  const Json* const object = reader->Find(*name);
  if (object == nullptr || object->is_object()) return object == nullptr ? &none : object;
  reader->Refuse(*name, *object, "it must be an object or null");
  return &none;
}

// 0, with a problem noted, when no even part of a head would turn.
int64_t RotaryDim(RopeFields* fields, int64_t head_dim) {
  const double outside = fields->config->Number("partial_rotary_factor", 1);
  const double part = fields->rope.Number("partial_rotary_factor", outside);
  if (!fields->phi3 && part != 1) {
    fields->rope.Refuse("partial_rotary_factor", part, "only 1 is supported with this model_type");
    return 0;
  }
  const int64_t dim = part <= 1 ? static_cast<int64_t>(head_dim * part) : 0;
  if (dim >= 2 && dim % 2 == 0) return dim;
  fields->config->Refuse(
      "head_dim", head_dim,
      absl::StrCat("rotary embeddings turn ", part, " of it, which must be even"));
  return 0;
}

RopeFields FieldsOf(ConfigReader* reader, bool phi3) {
  std::string name;
  const Json* const object = RopeObject(reader, &name);
  return {reader, ConfigReader(object, name + ".", reader->problems()), phi3};
}

}  // namespace

std::string RopeKind(ConfigReader* reader, bool phi3) {
  RopeFields fields = FieldsOf(reader, phi3);
  return KindOf(&fields);
}

void ReadRope(ConfigReader* reader, bool phi3, ModelConfig* config) {
  RopeFields fields = FieldsOf(reader, phi3);
  double theta = fields.rope.Number("rope_theta", reader->Number("rope_theta", 10000));
  if (theta < 1) {
    reader->Refuse("rope_theta", theta, "it must be 1 or above");
    theta = 1;
  }
  const int64_t dim = RotaryDim(&fields, config->head_dim);
  const std::string kind = KindOf(&fields);
  if (dim == 0 || !CheckKind(&fields, kind)) return;
  const int64_t positions = config->max_position_embeddings;
  config->rope.frequencies = RopeFrequencies(theta, dim);
  if (kind == "linear") {
    const auto factor = static_cast<float>(RequiredNumber(&fields.rope, "factor"));
    for (float& frequency : config->rope.frequencies) frequency /= factor;
  } else if (kind == "llama3") {
    const Llama3Scaling scaling = ReadLlama3(&fields, OriginalPositions(&fields, positions));
    config->rope.frequencies = Llama3Frequencies(config->rope.frequencies, scaling);
  } else if (kind == "yarn") {
    config->rope = ReadYarn(&fields, theta, dim, positions);
  } else if (kind == "longrope") {
    config->rope = ReadLongRope(&fields, theta, dim, config);
  } else if (kind == "dynamic") {
    RequiredNumber(&fields.rope, "factor");
  }
}

}  // namespace attune
