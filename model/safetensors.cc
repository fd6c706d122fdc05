#include "model/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/strict_json.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors values are little-endian");

using Json = nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference library's limit
constexpr char kMetadata[] = "__metadata__";

struct Dtype {
  const char* name;
  int64_t bytes;  // of an element
  std::optional<TensorType> type;
};
constexpr Dtype kDtypes[] = {
    {"F32", 4, TensorType::kF32},
    {"BF16", 2, TensorType::kBf16},
    {"F16", 2, TensorType::kF16},
    {"BOOL", 1, {}},
    {"U8", 1, {}},
    {"I8", 1, {}},
    {"F8_E5M2", 1, {}},
    {"F8_E4M3", 1, {}},
    {"I16", 2, {}},
    {"U16", 2, {}},
    {"I32", 4, {}},
    {"U32", 4, {}},
    {"F64", 8, {}},
    {"I64", 8, {}},
    {"U64", 8, {}},
};

const char* NameOf(TensorType type) {
  const auto it = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                               [&](const Dtype& dtype) { return dtype.type == type; });
  return it->name;
}

absl::StatusOr<Dtype> ParseDtype(const Json& entry) {
  const Json name = entry.value("dtype", Json());
  if (!name.is_string()) return absl::InvalidArgumentError("it has no dtype");
  for (const Dtype& dtype : kDtypes) {
    if (name == dtype.name) return dtype;
  }
  return absl::InvalidArgumentError(absl::StrCat("dtype ", name.dump(), " is not known"));
}

absl::Status ParseShape(const Json& entry, StoredTensor* tensor) {
  const Json sides = entry.value("shape", Json());
  if (!sides.is_array()) return absl::InvalidArgumentError("shape is not a list");
  tensor->size = 1;
  for (const Json& side : sides) {
    int64_t length = -1;
    if (side.is_number_unsigned() && side <= INT64_MAX) length = side.get<int64_t>();
    if (length < 0 || __builtin_mul_overflow(tensor->size, length, &tensor->size)) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", sides.dump(), " is impossible"));
    }
    tensor->shape.push_back(length);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::pair<uint64_t, uint64_t>> ParseOffsets(const Json& entry, uint64_t data_bytes) {
  const Json offsets = entry.value("data_offsets", Json());
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return absl::InvalidArgumentError("data_offsets is not a pair of non-negative integers");
  }
  const std::pair begin_end(offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>());
  if (begin_end.first > begin_end.second || begin_end.second > data_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data_offsets ", offsets.dump(), " lie outside the ", data_bytes, " bytes of values"));
  }
  return begin_end;
}

absl::StatusOr<StoredTensor> ParseTensor(const Json& entry, uint64_t data_begin,
                                         uint64_t data_bytes) {
  if (!entry.is_object()) return absl::InvalidArgumentError("it is not an object");
  ATTUNE_ASSIGN_OR_RETURN(const Dtype dtype, ParseDtype(entry));
  StoredTensor tensor;
  tensor.dtype = dtype.name;
  tensor.type = dtype.type;
  ATTUNE_RETURN_IF_ERROR(ParseShape(entry, &tensor));
  ATTUNE_ASSIGN_OR_RETURN(const auto offsets, ParseOffsets(entry, data_bytes));
  tensor.begin = data_begin + offsets.first;
  tensor.end = data_begin + offsets.second;
  int64_t bytes;
  if (__builtin_mul_overflow(tensor.size, dtype.bytes, &bytes) ||
      tensor.end - tensor.begin != static_cast<uint64_t>(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data_offsets span ", tensor.end - tensor.begin, " bytes, which the shape [",
                     absl::StrJoin(tensor.shape, ", "), "] of ", dtype.name, " does not have"));
  }
  return tensor;
}

// `begin` and `end`: of the values in the file.
absl::Status CheckContiguous(const SafetensorsIndex& index, uint64_t begin, uint64_t end) {
  std::vector<std::tuple<uint64_t, uint64_t, absl::string_view>> extents;
  for (const auto& [name, tensor] : index) extents.emplace_back(tensor.begin, tensor.end, name);
  std::sort(extents.begin(), extents.end());
  uint64_t next = begin;
  for (const auto& [first, last, name] : extents) {
    if (first != next) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, " begins at byte ", first - begin, " of the values, but ",
                       first < next ? "it overlaps the one before, which ends at "
                                    : "there is a gap after byte ",
                       next - begin));
    }
    next = last;
  }
  if (next == end) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the tensors end at byte ", next - begin, " of ",
                                                 end - begin, " bytes of values"));
}

absl::Status CheckMetadata(const Json& metadata) {
  const bool fine =
      metadata.is_object() &&
      std::all_of(metadata.begin(), metadata.end(), [](const Json& v) { return v.is_string(); });
  if (fine) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(kMetadata, " is not an object of strings"));
}

absl::StatusOr<SafetensorsIndex> ReadIndex(absl::string_view file) {
  if (file.size() < kPrefixBytes) {
    return absl::InvalidArgumentError(absl::StrCat("it is ", file.size(), " bytes long"));
  }
  uint64_t header_bytes;
  std::memcpy(&header_bytes, file.data(), kPrefixBytes);
  const uint64_t limit = std::min<uint64_t>(file.size() - kPrefixBytes, kHeaderBytesMax);
  if (header_bytes > limit) {
    return absl::InvalidArgumentError(absl::StrCat("its header would be ", header_bytes,
                                                   " bytes long, more than the possible ", limit));
  }
  const absl::StatusOr<Json> header =
      ParseStrictJson(file.substr(kPrefixBytes, header_bytes), kPrefixBytes);
  if (!header.ok()) return Annotate(header.status(), "in its header");
  if (!header->is_object()) return absl::InvalidArgumentError("its header is not a JSON object");
  const uint64_t data_begin = kPrefixBytes + header_bytes;
  SafetensorsIndex index;
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadata) {
      ATTUNE_RETURN_IF_ERROR(CheckMetadata(entry));
      continue;
    }
    absl::StatusOr<StoredTensor> tensor = ParseTensor(entry, data_begin, file.size() - data_begin);
    if (!tensor.ok()) return Annotate(tensor.status(), absl::StrCat("tensor ", name));
    index.emplace(name, *std::move(tensor));
  }
  ATTUNE_RETURN_IF_ERROR(CheckContiguous(index, data_begin, file.size()));
  return index;
}

// The length and the header of a file of `tensors` in that order.
std::string SerializeHeader(const std::vector<TensorToStore>& tensors) {
  nlohmann::ordered_json header;
  header[kMetadata] = {{"format", "pt"}};
  uint64_t begin = 0;
  for (const TensorToStore& tensor : tensors) {
    const uint64_t end = begin + tensor.bytes();
    header[tensor.name] = {{"dtype", NameOf(tensor.values.type)},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((kPrefixBytes - text.size() % kPrefixBytes) % kPrefixBytes, ' ');  // aligns values
  const uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), kPrefixBytes) + text;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  absl::StatusOr<SafetensorsIndex> index = ReadIndex(file->bytes());
  if (!index.ok()) return Annotate(index.status(), absl::StrCat("cannot read ", path));
  return std::shared_ptr<const SafetensorsFile>(
      new SafetensorsFile(path, std::move(file), *std::move(index)));
}

TensorView SafetensorsFile::View(const StoredTensor& tensor) const {
  ATTUNE_CHECK(tensor.type.has_value());
  return {*tensor.type, file_->bytes().data() + tensor.begin};
}

void SafetensorsFile::Release(const StoredTensor& tensor) const {
  file_->Release(tensor.begin, tensor.end);
}

int64_t TensorToStore::bytes() const {
  int64_t bytes = BytesOf(values.type);
  for (const int64_t side : shape) bytes *= side;
  return bytes;
}

absl::Status WriteSafetensors(const std::string& path, std::vector<TensorToStore> tensors) {
  // The reference library's order: its types from the last to the first (F32, BF16, F16), then by
  // name.
  std::sort(tensors.begin(), tensors.end(), [](const TensorToStore& a, const TensorToStore& b) {
    return std::tie(a.values.type, a.name) < std::tie(b.values.type, b.name);
  });
  const std::string header = SerializeHeader(tensors);
  std::vector<absl::string_view> parts = {header};
  for (const TensorToStore& tensor : tensors) {
    parts.emplace_back(tensor.values.bytes, static_cast<size_t>(tensor.bytes()));
  }
  return WriteFileParts(path, parts);
}

}  // namespace attune
