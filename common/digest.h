// SHA-256 for identities (policies, pairs, files) and CRC-32C for chunks on the wire.
#ifndef ATTUNE_COMMON_DIGEST_H_
#define ATTUNE_COMMON_DIGEST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

// Incremental SHA-256. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(absl::string_view bytes);
  void Update(const void* data, size_t size);
  // Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
  void UpdateField(absl::string_view bytes);
  // The same of a field of `size` bytes that the next calls of Update give in pieces.
  void BeginField(uint64_t size);
  // Lower-case hex of 64 characters. Call once.
  std::string HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(absl::string_view bytes);

[[nodiscard]] absl::StatusOr<std::string> Sha256OfFile(const std::string& path);

// CRC-32C (Castagnoli), as used by iSCSI and ext4.
uint32_t Crc32c(absl::string_view bytes);

}  // namespace attune

#endif  // ATTUNE_COMMON_DIGEST_H_
