#include "tests/reference/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/check.h"
#include "common/files.h"

namespace attune {
namespace {

using nlohmann::json;

// IEEE 754 binary formats: a sign, the exponent's bits, the fraction's bits.
struct FloatFormat {
  int exponent_bits;
  int fraction_bits;

  int bytes() const { return (1 + exponent_bits + fraction_bits) / 8; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};

FloatFormat FormatOf(const std::string& dtype) {
  if (dtype == "F32") return {8, 23};
  if (dtype == "BF16") return {8, 7};
  ATTUNE_CHECK(dtype == "F16");
  return {5, 10};
}

// Of the leading digit of x; subnormal numbers share the smallest.
int ExponentOf(const FloatFormat& format, double x) {
  return x == 0 ? 1 - format.bias() : std::max(std::ilogb(x), 1 - format.bias());
}

uint32_t Encode(const FloatFormat& format, double x) {
  const int exponent = ExponentOf(format, x);
  const double digits = std::ldexp(std::fabs(x), format.fraction_bits - exponent);
  ATTUNE_CHECK(digits == std::floor(digits) && exponent <= format.bias());
  // Without the hidden leading one, which only normal numbers have.
  const auto significand = static_cast<uint32_t>(digits);
  const uint32_t hidden = 1u << format.fraction_bits;
  const uint32_t field = significand < hidden ? 0 : static_cast<uint32_t>(exponent + format.bias());
  const uint32_t sign = std::signbit(x) ? 1 : 0;
  return (sign << (format.exponent_bits + format.fraction_bits)) | (field << format.fraction_bits) |
         (significand & (hidden - 1));
}

double Decode(const FloatFormat& format, uint32_t bits) {
  const uint32_t hidden = 1u << format.fraction_bits;
  const uint32_t field = (bits >> format.fraction_bits) & ((1u << format.exponent_bits) - 1);
  const double significand = (bits & (hidden - 1)) + (field == 0 ? 0 : hidden);
  const int exponent = std::max(static_cast<int>(field), 1) - format.bias();
  const double magnitude = std::ldexp(significand, exponent - format.fraction_bits);
  return (bits >> (format.exponent_bits + format.fraction_bits)) != 0 ? -magnitude : magnitude;
}

void AppendLittleEndian(uint64_t number, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(number >> (8 * i)));
}

uint64_t LittleEndian(const std::string& bytes, size_t offset, int count) {
  uint64_t number = 0;
  for (int i = 0; i < count; ++i) {
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[offset + i])) << (8 * i);
  }
  return number;
}

std::string Safetensors(const ReferenceTensors& tensors, const std::string& dtype) {
  const FloatFormat format = FormatOf(dtype);
  json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    for (double value : tensor.values) {
      AppendLittleEndian(Encode(format, RoundTo(dtype, value)), format.bytes(), &data);
    }
    header[name] = {
        {"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string file;
  AppendLittleEndian(text.size(), 8, &file);
  return file + text + data;
}

void Write(const std::string& directory, const std::string& name, const std::string& bytes) {
  ATTUNE_CHECK(WriteFile(JoinPath(directory, name), bytes).ok());
}

}  // namespace

double RoundTo(const std::string& dtype, double x) {
  const FloatFormat format = FormatOf(dtype);
  const int shift = format.fraction_bits - ExponentOf(format, x);
  return std::ldexp(std::nearbyint(std::ldexp(x, shift)), -shift);
}

void WriteCheckpoint(const std::string& directory, const json& config,
                     const ReferenceTensors& tensors, const std::string& dtype, int shards) {
  Write(directory, "config.json", config.dump(2));
  if (shards == 1) {
    Write(directory, "model.safetensors", Safetensors(tensors, dtype));
    return;
  }
  std::vector<ReferenceTensors> parts(static_cast<size_t>(shards));
  json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", json::object()}};
  int64_t values = 0;
  size_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t part = next++ % parts.size();
    parts[part][name] = tensor;
    index["weight_map"][name] =
        absl::StrFormat("model-%05d-of-%05d.safetensors", part + 1, parts.size());
    values += static_cast<int64_t>(tensor.values.size());
  }
  index["metadata"]["total_size"] = values * FormatOf(dtype).bytes();
  for (const ReferenceTensors& part : parts) {
    Write(directory, index["weight_map"][part.begin()->first], Safetensors(part, dtype));
  }
  Write(directory, "model.safetensors.index.json", index.dump(2));
}

ReferenceTensors ReadTensors(const std::string& directory) {
  const absl::StatusOr<std::string> file = ReadFile(JoinPath(directory, "model.safetensors"));
  ATTUNE_CHECK(file.ok());
  const uint64_t header_size = LittleEndian(*file, 0, 8);
  const json header = json::parse(file->substr(8, header_size), nullptr, false);
  ATTUNE_CHECK(header.is_object());
  ReferenceTensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const FloatFormat format = FormatOf(entry["dtype"]);
    ReferenceTensor& tensor = tensors[name];
    tensor.shape = entry["shape"].get<std::vector<int64_t>>();
    const uint64_t end = 8 + header_size + entry["data_offsets"][1].get<uint64_t>();
    ATTUNE_CHECK(end <= file->size());
    for (uint64_t at = 8 + header_size + entry["data_offsets"][0].get<uint64_t>(); at < end;
         at += static_cast<uint64_t>(format.bytes())) {
      tensor.values.push_back(
          Decode(format, static_cast<uint32_t>(LittleEndian(*file, at, format.bytes()))));
    }
  }
  return tensors;
}

json ReadJson(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  ATTUNE_CHECK(text.ok());
  json value = json::parse(*text, nullptr, false);
  ATTUNE_CHECK(!value.is_discarded());
  return value;
}

}  // namespace attune
