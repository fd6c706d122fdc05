// The safetensors file format: eight bytes of header length, a JSON header that names each tensor
// with its type, shape and place, then the values. Nothing in a file is trusted: a damaged or
// hostile one gives INVALID_ARGUMENT with the file, the tensor and the reason.
#ifndef ATTUNE_MODEL_SAFETENSORS_H_
#define ATTUNE_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/mapped_file.h"

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

// A mapped file whose header has been checked: types, shapes, and that the values lie one after the
// other without gap or overlap, to the end. Immutable; thread-safe.
class SafetensorsFile {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Open(
      const std::string& path);

  const std::string& path() const { return path_; }
  const SafetensorsIndex& index() const { return index_; }
  // The values of a tensor of index() into `out`, tensor.size floats.
  void Read(const StoredTensor& tensor, float* out) const;

 private:
  SafetensorsFile(std::string path, std::unique_ptr<const MappedFile> file, SafetensorsIndex index)
      : path_(std::move(path)), file_(std::move(file)), index_(std::move(index)) {}

  const std::string path_;
  const std::unique_ptr<const MappedFile> file_;
  const SafetensorsIndex index_;
};

struct TensorToStore {
  std::string name;
  std::vector<int64_t> shape;
  absl::Span<const float> values;
};

// A whole file of fp32 tensors in the order given, with the metadata {"format": "pt"}.
std::string SerializeSafetensors(absl::Span<const TensorToStore> tensors);

}  // namespace attune

#endif  // ATTUNE_MODEL_SAFETENSORS_H_
