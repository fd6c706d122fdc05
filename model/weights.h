// The weights of a policy as one vector of fp32 values: the tensors of WeightLayout one after the
// other, each row-major, without gaps. Trainer ranks own slices of that vector, weight transfer
// addresses into it, and the digest is computed over it.
#ifndef ATTUNE_MODEL_WEIGHTS_H_
#define ATTUNE_MODEL_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/layout.h"
#include "model/model_config.h"
#include "model/weight_files.h"

namespace attune {

// All tensors of `directory` as the flat vector. Errors as of WeightFiles::Open.
[[nodiscard]] absl::StatusOr<std::vector<float>> LoadWeights(const std::string& directory,
                                                             const ModelConfig& config);

// SHA-256, hex, over name, shape and values of every tensor in order: the identity of a policy.
std::string WeightsDigest(const std::vector<TensorSpec>& layout, absl::Span<const float> weights);
// The same of what LoadWeights would give, without holding it.
std::string WeightsDigest(const std::vector<TensorSpec>& layout, const WeightFiles& files);

using AddFiles = std::function<absl::Status(const std::string& directory)>;

// Writes `directory`, which must not exist, as a Hugging Face directory: the weights as fp32
// safetensors in shards of up to `shard_bytes_max` (WriteWeightFiles), and the small files
// (config.json, tokenizer*, generation_config.json, special_tokens_map.json, ...) copied from
// `source`, with torch_dtype in config.json set to float32; besides these `attune_json` as
// attune.json. With `config` of a sequence classifier, config.json names that class, its labels and
// the padding token, whatever the source is. Appears whole or not at all: written under a temporary
// name, synced, read back and verified, then renamed. `add_files`, if any, writes what else belongs
// there into the directory that it is given, before the rename.
absl::Status SaveCheckpoint(const std::string& directory, const std::string& source,
                            const ModelConfig& config, absl::Span<const float> weights,
                            const std::string& attune_json,
                            int64_t shard_bytes_max = kShardBytesMax,
                            const AddFiles& add_files = nullptr);

}  // namespace attune

#endif  // ATTUNE_MODEL_WEIGHTS_H_
