// The supported values of model_type: what each means where its config.json says nothing, and what
// is its own.
#ifndef ATTUNE_MODEL_MODEL_FAMILY_H_
#define ATTUNE_MODEL_MODEL_FAMILY_H_

#include <cstdint>

#include "absl/types/span.h"
#include "model/config_reader.h"
#include "model/model_config.h"

namespace attune {

// A model_type with the defaults that its configuration class in transformers has for fields that
// are not in the file.
struct ModelFamily {
  const char* model_type;
  const char* class_prefix;  // of its classes, for example "Llama" of LlamaForCausalLM
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t intermediate_size = 0;  // 0: 4 hidden_size
  int64_t num_layers;
  int64_t num_heads;
  int64_t num_kv_heads = 0;  // 0: num_heads
  int64_t head_dim = 0;      // 0: hidden_size / num_heads
  int64_t max_position_embeddings;
  double norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  int32_t eos_token_id = -1;                 // -1: none
  int32_t pad_token_id = -1;
  absl::Span<const char* const> known = {};  // of the fields that CheckUnsupportedFields looks at
  // Fills in what is its own; the sizes, labels, attention_scale and rope are there.
  void (*read)(ConfigReader* reader, ModelConfig* config);
};

absl::Span<const ModelFamily> ModelFamilies();

}  // namespace attune

#endif  // ATTUNE_MODEL_MODEL_FAMILY_H_
