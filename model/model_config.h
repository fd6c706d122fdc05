// What a Hugging Face config.json says about a Llama-family model, and what can be run of it.
#ifndef ATTUNE_MODEL_MODEL_CONFIG_H_
#define ATTUNE_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace attune {

// Complete once loaded. Sizes are counts of elements.
struct ModelConfig {
  std::string model_type;  // "llama"
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t intermediate_size;
  int64_t num_layers;
  int64_t num_heads;
  int64_t num_kv_heads;  // divides num_heads; fewer = grouped-query attention
  int64_t head_dim;      // even
  float rms_norm_eps;
  double rope_theta;
  bool tie_word_embeddings;
  int64_t max_position_embeddings;   // longest prompt + response, tokens
  std::vector<int32_t> eos_token_ids;  // any of them ends a response; from generation_config.json
                                       // where that exists, else config.json; may be empty
};

// Reads config.json (and generation_config.json) of `directory`. A field that changes numbers and
// is not supported is refused by name with its value (INVALID_ARGUMENT), never ignored.
[[nodiscard]] absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory);

}  // namespace attune

#endif  // ATTUNE_MODEL_MODEL_CONFIG_H_
