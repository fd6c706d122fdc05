// The safetensors file format: eight bytes of header length, a JSON header that names each tensor
// with its type, shape and place, then the values. Nothing in a file is trusted: a damaged or
// hostile one gives INVALID_ARGUMENT with the file, the tensor and the reason.
#ifndef ATTUNE_MODEL_SAFETENSORS_H_
#define ATTUNE_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mapped_file.h"
#include "model/tensor_type.h"

namespace attune {

struct StoredTensor {
  std::string dtype;               // as in the file: "F32", "BF16", "I64", ...
  std::optional<TensorType> type;  // empty: one that weights are not read from
  std::vector<int64_t> shape;
  int64_t size;    // elements: the product of the shape
  uint64_t begin;  // of the values, in bytes from the start of the file
  uint64_t end;
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

  // The values of a tensor of index() that has a type; valid as long as this object.
  TensorView View(const StoredTensor& tensor) const;
  // Takes the values out of this process's memory; a view of them stays valid and reads them anew.
  void Release(const StoredTensor& tensor) const;

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
  TensorView values;  // stored in their type

  int64_t bytes() const;
};

// Writes and syncs the file that the reference library writes of these tensors, byte for byte, with
// the metadata {"format": "pt"} of a Hugging Face checkpoint. Names must differ.
absl::Status WriteSafetensors(const std::string& path, std::vector<TensorToStore> tensors);

}  // namespace attune

#endif  // ATTUNE_MODEL_SAFETENSORS_H_
