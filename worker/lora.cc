#include "worker/lora.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/digest.h"
#include "common/rng.h"
#include "worker/pieces.h"

namespace attune {
namespace {

constexpr uint64_t kInitialTag = 0x6c6f7261;  // "lora"
constexpr int64_t kRowsOfPiece = 64;
constexpr int64_t kColumnsOfPiece = 256;

std::string LastPart(absl::string_view module) {
  const size_t dot = module.rfind('.');
  return std::string(dot == absl::string_view::npos ? module : module.substr(dot + 1));
}

// The linear weights of the model by name, each tensor once.
std::map<std::string, LinearRef> LinearWeights(const ModelConfig& config) {
  const ModelRefs refs = RefsOf(config);
  std::map<std::string, LinearRef> weights;
  const auto add = [&](const LinearRef& ref) {
    if (!ref.weight.empty()) weights.emplace(ref.weight, ref);
  };
  for (const LayerRefs& layer : refs.layers) {
    for (const LinearRef* ref :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      add(*ref);
    }
  }
  if (refs.head.weight != refs.embeddings) add(refs.head);
  return weights;
}

LoraModule ModuleOf(const LinearRef& ref, const TensorSpec& weight, const std::string& name) {
  return {.name = name,
          .offset = weight.offset,
          .outputs = ref.stored_outputs,
          .inputs = ref.inputs,
          .output_stride = ref.transposed ? 1 : ref.inputs,
          .input_stride = ref.transposed ? ref.stored_outputs : 1,
          .a = 0,
          .b = 0};
}

absl::Status CheckTargets(const std::vector<std::string>& targets,
                          const std::map<std::string, LinearRef>& weights) {
  std::set<std::string> known;
  for (const auto& [weight, ref] : weights) {
    known.insert(LastPart(absl::StripSuffix(weight, ".weight")));
  }
  for (const std::string& target : targets) {
    if (known.count(target) > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("training.lora.target_modules has ", target,
                     ", but the model has no linear weight of that name; must be of ",
                     absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

// Gives every module its places in the adapter.
void PlaceTensors(LoraLayout* layout) {
  const int64_t r = layout->options.r;
  int64_t offset = 0;
  for (LoraModule& module : layout->modules) {
    const std::string prefix = absl::StrCat("base_model.model.", module.name, ".lora_");
    const auto place = [&](const char* factor, int64_t rows, int64_t columns) {
      const int64_t at = offset;
      layout->tensors.push_back(
          {absl::StrCat(prefix, factor, ".weight"), {rows, columns}, at, rows * columns});
      offset += rows * columns;
      return at;
    };
    module.a = place("A", r, module.inputs);
    module.b = place("B", module.outputs, r);
  }
}

// target[i] += factor * source[i]
void AddMultiple(int64_t count, double factor, const float* __restrict source,
                 double* __restrict target) {
  for (int64_t i = 0; i < count; ++i) target[i] += factor * source[i];
}

void MergeRows(const LoraLayout& layout, const LoraModule& module, absl::Span<const float> base,
               const float* adapter, int64_t begin, int64_t end, absl::Span<float> weights) {
  const int64_t r = layout.options.r;
  std::vector<double> change(module.inputs);
  for (int64_t o = begin; o < end; ++o) {
    std::fill(change.begin(), change.end(), 0.0);
    for (int64_t k = 0; k < r; ++k) {
      AddMultiple(module.inputs, adapter[module.b + o * r + k],
                  adapter + module.a + k * module.inputs, change.data());
    }
    for (int64_t i = 0; i < module.inputs; ++i) {
      const int64_t at = module.offset + o * module.output_stride + i * module.input_stride;
      // A weight of -0 stays what it is, too.
      weights[at] =
          change[i] == 0 ? base[at] : static_cast<float>(base[at] + layout.scale() * change[i]);
    }
  }
}

// dB of rows [begin, end): row o is s sum_i dW[o, i] A[:, i].
void AddGradientOfB(const LoraLayout& layout, const LoraModule& module,
                    const std::vector<float>& a_by_input, const double* gradients, int64_t begin,
                    int64_t end, double* target) {
  const int64_t r = layout.options.r;
  for (int64_t o = begin; o < end; ++o) {
    const double* const row = gradients + module.offset + o * module.output_stride;
    for (int64_t i = 0; i < module.inputs; ++i) {
      AddMultiple(r, layout.scale() * row[i * module.input_stride], &a_by_input[i * r],
                  target + module.b + o * r);
    }
  }
}

// dA of columns [begin, end): column i is s sum_o dW[o, i] B[o, :].
void AddGradientOfA(const LoraLayout& layout, const LoraModule& module, const float* adapter,
                    const double* gradients, int64_t begin, int64_t end, double* target) {
  const int64_t r = layout.options.r;
  for (int64_t o = 0; o < module.outputs; ++o) {
    const double* const row = gradients + module.offset + o * module.output_stride;
    for (int64_t k = 0; k < r; ++k) {
      const double factor = layout.scale() * adapter[module.b + o * r + k];
      if (factor == 0) continue;
      double* const column = target + module.a + k * module.inputs;
      for (int64_t i = begin; i < end; ++i) column[i] += factor * row[i * module.input_stride];
    }
  }
}

}  // namespace

absl::StatusOr<LoraLayout> LoraLayoutOf(const LoraOptions& options, const ModelConfig& config) {
  const std::map<std::string, LinearRef> weights = LinearWeights(config);
  const absl::Status known = CheckTargets(options.target_modules, weights);
  if (!known.ok()) return known;
  const std::vector<TensorSpec> model = WeightLayout(config);
  LoraLayout layout = {.options = options, .transposed = false, .modules = {}, .tensors = {}};
  for (const auto& [weight, ref] : weights) {
    const std::string name(absl::StripSuffix(weight, ".weight"));
    const auto& targets = options.target_modules;
    if (std::find(targets.begin(), targets.end(), LastPart(name)) == targets.end()) continue;
    layout.modules.push_back(ModuleOf(ref, FindTensor(model, weight), name));
    layout.transposed = layout.transposed || ref.transposed;
  }
  PlaceTensors(&layout);
  return layout;
}

std::vector<float> InitialAdapter(const LoraLayout& layout, uint64_t seed, absl::string_view name) {
  std::vector<float> adapter(WeightCount(layout.tensors));
  for (const LoraModule& module : layout.modules) {
    const CounterRng rng({seed, kInitialTag, Crc32c(name), Crc32c(module.name)});
    const double limit = 1 / std::sqrt(static_cast<double>(module.inputs));
    for (int64_t i = 0; i < layout.options.r * module.inputs; ++i) {
      adapter[module.a + i] =
          static_cast<float>(limit * (2 * rng.Uniform(static_cast<uint64_t>(i)) - 1));
    }
  }
  return adapter;
}

void MergeAdapter(const LoraLayout& layout, absl::Span<const float> base,
                  absl::Span<const float> adapter, absl::Span<float> weights) {
  for (const LoraModule& module : layout.modules) {
    ForPieces(module.outputs, kRowsOfPiece, [&](int64_t begin, int64_t end) {
      MergeRows(layout, module, base, adapter.data(), begin, end, weights);
    });
  }
}

void AddAdapterGradients(const LoraLayout& layout, absl::Span<const float> adapter,
                         absl::Span<const double> gradients, absl::Span<double> adapter_gradients) {
  const int64_t r = layout.options.r;
  for (const LoraModule& module : layout.modules) {
    std::vector<float> a_by_input(module.inputs * r);
    for (int64_t k = 0; k < r; ++k) {
      for (int64_t i = 0; i < module.inputs; ++i) {
        a_by_input[i * r + k] = adapter[module.a + k * module.inputs + i];
      }
    }
    ForPieces(module.outputs, kRowsOfPiece, [&](int64_t begin, int64_t end) {
      AddGradientOfB(layout, module, a_by_input, gradients.data(), begin, end,
                     adapter_gradients.data());
    });
    ForPieces(module.inputs, kColumnsOfPiece, [&](int64_t begin, int64_t end) {
      AddGradientOfA(layout, module, adapter.data(), gradients.data(), begin, end,
                     adapter_gradients.data());
    });
  }
}

}  // namespace attune
