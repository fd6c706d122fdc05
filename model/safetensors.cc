#include "model/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors values are little-endian");

using Json = nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference implementation's limit

int64_t BytesOf(TensorType type) { return type == TensorType::kF32 ? 4 : 2; }

// Parses without keeping anything nested deeper than a header is, and notes repeated names, which
// the parser would silently merge.
absl::StatusOr<Json> ParseHeader(absl::string_view bytes) {
  std::set<std::string> names;
  std::string repeated;
  bool too_deep = false;
  const auto filter = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth > 2) too_deep = true;
    if (event == Json::parse_event_t::key && depth == 1) {
      const std::string& name = parsed.get_ref<const std::string&>();
      if (!names.insert(name).second) repeated = name;
    }
    return !too_deep;
  };
  Json header = Json::parse(bytes, filter, /*allow_exceptions=*/false);
  if (!too_deep && !repeated.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", repeated, " is listed twice"));
  }
  if (too_deep || !header.is_object()) {
    return absl::InvalidArgumentError("its header is not a JSON object of tensors");
  }
  return header;
}

struct Extent {
  uint64_t begin;
  uint64_t end;
};

absl::StatusOr<TensorType> ParseType(const Json& entry) {
  const std::string type = entry.value("dtype", Json()).is_string() ? entry["dtype"] : Json("");
  if (type == "F32") return TensorType::kF32;
  if (type == "F16") return TensorType::kF16;
  if (type == "BF16") return TensorType::kBf16;
  return absl::InvalidArgumentError(
      absl::StrCat("dtype is \"", type, "\"; F32, F16 and BF16 are supported"));
}

absl::Status ParseShape(const Json& entry, StoredTensor* tensor) {
  const Json shape = entry.value("shape", Json());
  if (!shape.is_array()) return absl::InvalidArgumentError("shape is not a list");
  tensor->size = 1;
  for (const Json& side : shape) {
    int64_t length = -1;
    if (side.is_number_unsigned() && side <= INT64_MAX) length = side.get<int64_t>();
    if (length < 0 || __builtin_mul_overflow(tensor->size, length, &tensor->size)) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", shape.dump(), " is impossible"));
    }
    tensor->shape.push_back(length);
  }
  return absl::OkStatus();
}

absl::StatusOr<Extent> ParseOffsets(const Json& entry, uint64_t data_bytes,
                                    const StoredTensor& tensor) {
  const Json offsets = entry.value("data_offsets", Json());
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return absl::InvalidArgumentError("data_offsets is not a pair of non-negative integers");
  }
  const Extent extent{offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
  if (extent.begin > extent.end || extent.end > data_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("data_offsets [", extent.begin, ", ", extent.end,
                                                   "] lie outside the ", data_bytes,
                                                   " bytes of values"));
  }
  int64_t bytes;
  if (__builtin_mul_overflow(tensor.size, BytesOf(tensor.type), &bytes) ||
      extent.end - extent.begin != static_cast<uint64_t>(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data_offsets span ", extent.end - extent.begin, " bytes, which the shape [",
                     absl::StrJoin(tensor.shape, ", "), "] does not have"));
  }
  return extent;
}

absl::Status CheckContiguous(std::vector<Extent> extents, uint64_t data_bytes) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != end) {
      return absl::InvalidArgumentError(
          absl::StrCat(extent.begin < end ? "tensors overlap" : "there is a gap", " at byte ",
                       std::min(extent.begin, end), " of the values"));
    }
    end = extent.end;
  }
  if (end == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the tensors end at byte ", end, " of ", data_bytes, " bytes of values"));
}

absl::StatusOr<SafetensorsIndex> ParseIndex(const Json& header, uint64_t data_begin,
                                            uint64_t data_bytes) {
  SafetensorsIndex index;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = absl::StrCat("tensor ", name);
    if (!entry.is_object()) return absl::InvalidArgumentError(where + " is not an object");
    StoredTensor tensor;
    const absl::StatusOr<TensorType> type = ParseType(entry);
    if (!type.ok()) return Annotate(type.status(), where);
    tensor.type = *type;
    if (absl::Status s = ParseShape(entry, &tensor); !s.ok()) return Annotate(s, where);
    const absl::StatusOr<Extent> extent = ParseOffsets(entry, data_bytes, tensor);
    if (!extent.ok()) return Annotate(extent.status(), where);
    tensor.file_begin = data_begin + extent->begin;
    extents.push_back(*extent);
    index.emplace(name, std::move(tensor));
  }
  ATTUNE_RETURN_IF_ERROR(CheckContiguous(std::move(extents), data_bytes));
  return index;
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
  ATTUNE_ASSIGN_OR_RETURN(const Json header, ParseHeader(file.substr(kPrefixBytes, header_bytes)));
  const uint64_t data_begin = kPrefixBytes + header_bytes;
  return ParseIndex(header, data_begin, file.size() - data_begin);
}

float FloatOfBits(uint32_t bits) { return std::bit_cast<float>(bits); }

float FloatOfHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  if (exponent == 31) return FloatOfBits(sign | 0x7f800000 | fraction << 13);
  return FloatOfBits(sign | (exponent + 112) << 23 | fraction << 13);
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

void SafetensorsFile::Read(const StoredTensor& tensor, float* out) const {
  const char* const bytes = file_->bytes().data() + tensor.file_begin;
  if (tensor.type == TensorType::kF32) {
    std::memcpy(out, bytes, static_cast<size_t>(tensor.size) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < tensor.size; ++i) {
    uint16_t half;
    std::memcpy(&half, bytes + 2 * i, 2);
    out[i] = tensor.type == TensorType::kF16 ? FloatOfHalf(half)
                                             : FloatOfBits(static_cast<uint32_t>(half) << 16);
  }
}

std::string SerializeSafetensors(absl::Span<const TensorToStore> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const TensorToStore& tensor : tensors) {
    const uint64_t end = offset + tensor.values.size() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kPrefixBytes - text.size() % kPrefixBytes) % kPrefixBytes, ' ');  // aligns values
  const uint64_t header_bytes = text.size();
  std::string file;
  file.reserve(kPrefixBytes + header_bytes + offset);
  file.append(reinterpret_cast<const char*>(&header_bytes), kPrefixBytes);
  file.append(text);
  for (const TensorToStore& tensor : tensors) {
    file.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
  }
  return file;
}

}  // namespace attune
