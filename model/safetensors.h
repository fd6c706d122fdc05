// The safetensors file format: eight bytes of header length, a JSON header that names each tensor
// with its type, shape and place, then the values. Nothing in a file is trusted: a damaged or
// hostile one gives INVALID_ARGUMENT with the file, the tensor and the reason.
#ifndef ATTUNE_MODEL_SAFETENSORS_H_
#define ATTUNE_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attune {

enum class TensorType { kF32, kF16, kBf16 };

struct StoredTensor {
  TensorType type;
  std::vector<int64_t> shape;
  int64_t size;         // elements: the product of the shape
  uint64_t file_begin;  // of the values, bytes from the start of the file
};

// By name.
using SafetensorsIndex = std::map<std::string, StoredTensor>;

// Reads and checks the header: types, shapes, and that the values lie in the file one after the
// other without gap or overlap, to its end.
[[nodiscard]] absl::StatusOr<SafetensorsIndex> ReadSafetensorsIndex(const std::string& path);

// Reads the values of one tensor of `path` into `out`, tensor.size floats.
absl::Status ReadTensor(const std::string& path, const StoredTensor& tensor, float* out);

struct TensorToStore {
  std::string name;
  std::vector<int64_t> shape;
  absl::Span<const float> values;
};

// A whole file of fp32 tensors in the order given, with the metadata {"format": "pt"}.
std::string SerializeSafetensors(absl::Span<const TensorToStore> tensors);

}  // namespace attune

#endif  // ATTUNE_MODEL_SAFETENSORS_H_
