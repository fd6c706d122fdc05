// The weights of a Hugging Face directory as files: model.safetensors, or shards of it with an
// index that says where each tensor is.
#ifndef ATTUNE_MODEL_WEIGHT_FILES_H_
#define ATTUNE_MODEL_WEIGHT_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/model_config.h"
#include "model/safetensors.h"
#include "model/tensor_type.h"

namespace attune {

// A tensor where it is.
struct WeightSource {
  std::shared_ptr<const SafetensorsFile> file;
  StoredTensor tensor;
};

// The tensors of a directory where they are: mapped, not read. Immutable; thread-safe.
class WeightFiles {
 public:
  // f32, f16 or bf16, also of mixed types. Missing, surplus and wrongly shaped tensors, and a
  // damaged file, are refused by name (INVALID_ARGUMENT); NOT_FOUND: there are no weights. Tied
  // embeddings may be stored under either name or both. Names may lack the "model." or
  // "transformer." in front, as in a checkpoint of the base model. Buffers that follow from
  // config.json are ignored: rotary frequencies, GPT-2's causal masks.
  [[nodiscard]] static absl::StatusOr<WeightFiles> Open(const std::string& directory,
                                                        const ModelConfig& config);

  // The values of a tensor of WeightLayout(config); valid as long as this object or a copy of it.
  TensorView View(const std::string& name) const;
  // Takes a tensor out of this process's memory; a view of it stays valid and reads it anew.
  // Whoever keeps a copy of all tensors calls this after each, or holds the model twice for a
  // while.
  void Release(const std::string& name) const;

 private:
  using Sources = std::map<std::string, WeightSource>;
  explicit WeightFiles(Sources sources);
  const WeightSource& Find(const std::string& name) const;

  std::shared_ptr<const Sources> sources_;
};

// The limit of save_pretrained, "5GB".
inline constexpr int64_t kShardBytesMax = 5'000'000'000;

// Writes `tensors` into `directory` as save_pretrained does: as model.safetensors or, where that
// would hold more than `shard_bytes_max` bytes of values, as model-00001-of-0000N.safetensors with
// the index model.safetensors.index.json. A shard holds more than the limit only where one tensor
// does. Nothing but the files is held in memory.
absl::Status WriteWeightFiles(const std::string& directory,
                              const std::vector<TensorToStore>& tensors,
                              int64_t shard_bytes_max = kShardBytesMax);

}  // namespace attune

#endif  // ATTUNE_MODEL_WEIGHT_FILES_H_
