#include "storage/keys.h"

namespace attune {
namespace {

template <typename Integer>
void AppendBigEndian(std::string& key, Integer value) {
  for (int shift = 8 * (sizeof(value) - 1); shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(value >> shift));
  }
}

}  // namespace

std::string EncodeU64(uint64_t value) {
  std::string bytes;
  AppendBigEndian(bytes, value);
  return bytes;
}

std::optional<uint64_t> DecodeU64(absl::string_view bytes) {
  if (bytes.size() != sizeof(uint64_t)) return std::nullopt;
  uint64_t value = 0;
  for (unsigned char byte : bytes) value = value << 8 | byte;
  return value;
}

std::string OrdinalKey(uint64_t job_ordinal) { return EncodeU64(job_ordinal); }

std::string RoundKey(uint64_t job_ordinal, uint32_t round) {
  std::string key = OrdinalKey(job_ordinal);
  AppendBigEndian(key, round);
  return key;
}

std::string RoundItemKey(uint64_t job_ordinal, uint32_t round, uint32_t item) {
  std::string key = RoundKey(job_ordinal, round);
  AppendBigEndian(key, item);
  return key;
}

std::string ResponseKey(uint64_t job_ordinal, uint32_t round, uint32_t prompt_index,
                        uint32_t sample) {
  std::string key = RoundItemKey(job_ordinal, round, prompt_index);
  AppendBigEndian(key, sample);
  return key;
}

std::string EventKey(uint64_t job_ordinal, uint64_t sequence) {
  std::string key = OrdinalKey(job_ordinal);
  AppendBigEndian(key, sequence);
  return key;
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

}  // namespace attune
