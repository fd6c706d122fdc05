#include "bench/synthetic_model.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/model_config.h"

namespace attune {
namespace {

nlohmann::json ConfigOf(const LlamaShape& shape) {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"hidden_act", "silu"},
          {"vocab_size", shape.vocab_size},
          {"hidden_size", shape.hidden_size},
          {"intermediate_size", shape.intermediate_size},
          {"num_hidden_layers", shape.num_layers},
          {"num_attention_heads", shape.num_heads},
          {"num_key_value_heads", shape.num_kv_heads > 0 ? shape.num_kv_heads : shape.num_heads},
          {"max_position_embeddings", shape.max_position_embeddings},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", shape.tied},
          {"eos_token_id", 2}};
}

float SyntheticWeight(int64_t i) {
  const int64_t step = static_cast<int64_t>(MixBits(static_cast<uint64_t>(i)) >> 56) - 128;
  return static_cast<float>(step) / 1024;
}

void AppendValues(const TensorSpec& spec, TensorType type, std::string* bytes) {
  bytes->reserve(spec.size * BytesOf(type));
  for (int64_t i = spec.offset; i < spec.offset + spec.size; ++i) {
    const float value = SyntheticWeight(i);
    const uint16_t half = Bf16OfFloat(value);
    if (type == TensorType::kF32) {
      bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
    } else {
      bytes->append(reinterpret_cast<const char*>(&half), sizeof(half));
    }
  }
}

}  // namespace

absl::Status WriteModelDirectory(const std::string& directory, const LlamaShape& shape,
                                 TensorType type) {
  ATTUNE_RETURN_IF_ERROR(WriteFile(JoinPath(directory, "config.json"), ConfigOf(shape).dump()));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  const std::vector<TensorSpec> layout = WeightLayout(config);
  nlohmann::json header;
  for (const TensorSpec& spec : layout) {
    const int64_t begin = spec.offset * BytesOf(type);
    header[spec.name] = {{"dtype", type == TensorType::kF32 ? "F32" : "BF16"},
                         {"shape", spec.shape},
                         {"data_offsets", {begin, begin + spec.size * BytesOf(type)}}};
  }
  const std::string text = header.dump();
  const uint64_t header_bytes = text.size();
  const std::string path = JoinPath(directory, "model.safetensors");
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file << text;
  for (const TensorSpec& spec : layout) {
    std::string bytes;
    AppendValues(spec, type, &bytes);
    file << bytes;
  }
  file.close();
  return file.good() ? absl::OkStatus()
                     : absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace attune
