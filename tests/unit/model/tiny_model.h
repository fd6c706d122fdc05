// Small random models for tests: no two sizes are equal, so that a swapped one shows.
#ifndef ATTUNE_TESTS_UNIT_MODEL_TINY_MODEL_H_
#define ATTUNE_TESTS_UNIT_MODEL_TINY_MODEL_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/files.h"
#include "common/rng.h"
#include "model/model_config.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"

namespace attune {

// Uniform in [-scale, scale).
inline std::vector<float> RandomFloats(size_t count, uint64_t seed, float scale = 1) {
  const CounterRng rng({seed});
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((2 * rng.Uniform(i) - 1) * scale);
  }
  return values;
}

inline ModelConfig TinyConfig(bool tied) {
  ModelConfig config;
  config.model_type = "llama";
  config.vocab_size = 101;
  config.hidden_size = 48;
  config.intermediate_size = 70;
  config.num_layers = 2;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 10;
  config.norm_eps = 1e-5f;
  config.rope.frequencies = RopeFrequencies(10000, config.head_dim);
  config.attention_scale = 1 / std::sqrt(static_cast<float>(config.head_dim));
  config.tie_word_embeddings = tied;
  config.max_position_embeddings = 64;
  config.eos_token_ids = {0};
  return config;
}

inline std::vector<float> TinyWeights(const ModelConfig& config, uint64_t seed) {
  return RandomFloats(WeightCount(WeightLayout(config)), seed, 0.4f);
}

// The same in the shape of GPT-2.
inline ModelConfig TinyGpt2Config() {
  ModelConfig config = TinyConfig(true);
  config.naming = TensorNaming::kGpt2;
  config.norm = NormKind::kLayer;
  config.num_kv_heads = config.num_heads;
  config.head_dim = 8;
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.gated_mlp = false;
  return config;
}

// Of a config like TinyConfig's.
inline std::string ConfigJson(const ModelConfig& config) {
  return nlohmann::json{{"model_type", config.model_type},
                        {"vocab_size", config.vocab_size},
                        {"hidden_size", config.hidden_size},
                        {"intermediate_size", config.intermediate_size},
                        {"num_hidden_layers", config.num_layers},
                        {"num_attention_heads", config.num_heads},
                        {"num_key_value_heads", config.num_kv_heads},
                        {"head_dim", config.head_dim},
                        {"rms_norm_eps", config.norm_eps},
                        {"rope_theta", 10000.0},
                        {"tie_word_embeddings", config.tie_word_embeddings},
                        {"max_position_embeddings", config.max_position_embeddings},
                        {"eos_token_id", config.eos_token_ids},
                        {"torch_dtype", "bfloat16"}}
      .dump();
}

// Writes config.json and model.safetensors into the existing `directory`.
inline absl::Status WriteModel(const std::string& directory, const ModelConfig& config,
                               const std::vector<float>& weights) {
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : WeightLayout(config)) {
    tensors.push_back(
        {spec.name, spec.shape, ViewOf(&weights[spec.offset])});
  }
  absl::Status status = WriteFile(JoinPath(directory, "config.json"), ConfigJson(config));
  status.Update(WriteWeightFiles(directory, tensors));
  return status;
}

// A new directory that goes away with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() : path_(MakeTemporaryDirectory("attune-model-test").value()) {}
  ~ScratchDirectory() { RemoveAll(path_).IgnoreError(); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return JoinPath(path_, name); }

 private:
  const std::string path_;
};

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_MODEL_TINY_MODEL_H_
