// Llama models of any size with made-up weights.
#ifndef ATTUNE_BENCH_SYNTHETIC_MODEL_H_
#define ATTUNE_BENCH_SYNTHETIC_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/layout.h"
#include "model/tensor_type.h"
#include "nlohmann/json.hpp"

namespace attune {

struct LlamaShape {
  const char* name;
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t intermediate_size;
  int64_t num_layers;
  int64_t num_heads;
  bool tied;
  int64_t max_position_embeddings;
  int64_t num_kv_heads = 0;  // 0: num_heads
};

// Writes config.json and model.safetensors, in kF32 or kBf16, into the existing `directory`.
// Weights are small, no two neighbours alike, and exact in bf16, so that a model stored in either
// type is the same.
absl::Status WriteModelDirectory(const std::string& directory, const LlamaShape& shape,
                                 TensorType type);

}  // namespace attune

#endif  // ATTUNE_BENCH_SYNTHETIC_MODEL_H_
