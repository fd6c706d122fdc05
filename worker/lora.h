// Low-rank adapters (LoRA, Hu et al. 2021) of a policy: of each target weight W, W + s B A with
// s = lora_alpha / r, where W stays as it was. They are one flat vector of fp32 values, as the
// weights are; the policy computes with the merged weights, so that whoever reads them - samplers,
// checkpoints, digests - sees a policy like any other.
#ifndef ATTUNE_WORKER_LORA_H_
#define ATTUNE_WORKER_LORA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/layout.h"
#include "model/model_config.h"

namespace attune {

// PEFT's names.
struct LoraOptions {
  int64_t r;
  double lora_alpha;
  std::vector<std::string> target_modules;
};

// A target. W[o, i] of `outputs` x `inputs` is element offset + o * output_stride +
// i * input_stride of the weights.
struct LoraModule {
  std::string name;  // of the weight, without ".weight"
  int64_t offset;
  int64_t outputs;
  int64_t inputs;
  int64_t output_stride;
  int64_t input_stride;
  int64_t a;  // offset of lora_A [r, inputs] within the adapter
  int64_t b;  // ... of lora_B [outputs, r]
};

struct LoraLayout {
  LoraOptions options;
  bool transposed;                  // the model stores its weights as [inputs, outputs] (GPT-2)
  std::vector<LoraModule> modules;  // sorted by name
  std::vector<TensorSpec> tensors;  // of the adapter, under PEFT's names, offsets without gaps

  double scale() const { return options.lora_alpha / static_cast<double>(options.r); }
};

// Targets are the linear weights whose name, without ".weight", ends with a part of
// target_modules: q_proj is that of every layer. Maps that a model stores as one tensor (c_attn of
// GPT-2) have one adapter. INVALID_ARGUMENT: a name that no linear weight has; lists those there
// are.
[[nodiscard]] absl::StatusOr<LoraLayout> LoraLayoutOf(const LoraOptions& options,
                                                      const ModelConfig& config);

// A uniform in +-1 / sqrt(inputs), which is PEFT's Kaiming distribution with a = sqrt(5), a
// function of (seed, name, tensor) alone; B zero: merging changes nothing.
std::vector<float> InitialAdapter(const LoraLayout& layout, uint64_t seed, absl::string_view name);

// Writes base + s B A to the targets of `weights`; both are in the order of WeightLayout. A
// function of its arguments to the bit, on any number of threads: products are summed in double
// precision in one order and rounded once.
void MergeAdapter(const LoraLayout& layout, absl::Span<const float> base,
                  absl::Span<const float> adapter, absl::Span<float> weights);

// Adds to `adapter_gradients` what `gradients` of the weights, dW, are of the adapter: dA =
// s B^T dW and dB = s dW A^T. Linear in dW: sums over ranks may be taken before or after.
void AddAdapterGradients(const LoraLayout& layout, absl::Span<const float> adapter,
                         absl::Span<const double> gradients, absl::Span<double> adapter_gradients);

}  // namespace attune

#endif  // ATTUNE_WORKER_LORA_H_
