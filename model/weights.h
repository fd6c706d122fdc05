// The weights of a policy as one vector of fp32 values: the tensors of the model under their
// Hugging Face names, sorted by name (byte order), each row-major, without gaps. Trainer ranks own
// slices of it, weight transfer addresses into it, and the digest is computed over it.
#ifndef ATTUNE_MODEL_WEIGHTS_H_
#define ATTUNE_MODEL_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/model_config.h"

namespace attune {

struct TensorSpec {
  std::string name;            // for example model.layers.0.self_attn.q_proj.weight
  std::vector<int64_t> shape;  // 1 or 2 dimensions; linear weights are [out, in]
  int64_t offset;              // first element within the vector
  int64_t size;                // elements
};

// Every tensor of the model. With tied embeddings there is model.embed_tokens.weight and no
// lm_head.weight. The sizes add up to the vector's.
std::vector<TensorSpec> WeightLayout(const ModelConfig& config);
int64_t WeightCount(const std::vector<TensorSpec>& layout);

// The spec of that name; it must exist.
const TensorSpec& FindTensor(const std::vector<TensorSpec>& layout, absl::string_view name);

// Reads model.safetensors (or the shards of model.safetensors.index.json) of `directory`: f32, f16
// or bf16, converted to fp32. Missing, surplus and wrongly shaped tensors, and a damaged file, are
// refused by name (INVALID_ARGUMENT). Tied embeddings may be stored under either name.
[[nodiscard]] absl::StatusOr<std::vector<float>> LoadWeights(const std::string& directory,
                                                             const ModelConfig& config);

// SHA-256, hex, over name, shape and values of every tensor in order: the identity of a policy.
std::string WeightsDigest(const std::vector<TensorSpec>& layout, absl::Span<const float> weights);

// Writes `directory`, which must not exist, as a Hugging Face directory: the weights as fp32
// model.safetensors (metadata format "pt"), and the small files (config.json, tokenizer*,
// generation_config.json, special_tokens_map.json, ...) copied from `source`, with torch_dtype in
// config.json set to float32; besides these `attune_json` as attune.json. Appears whole or not at
// all: written under a temporary name, synced, read back and verified, then renamed.
absl::Status SaveCheckpoint(const std::string& directory, const std::string& source,
                            const ModelConfig& config, absl::Span<const float> weights,
                            const std::string& attune_json);

}  // namespace attune

#endif  // ATTUNE_MODEL_WEIGHTS_H_
