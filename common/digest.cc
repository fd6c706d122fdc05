#include "common/digest.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace attune {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ATTUNE_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::Update(absl::string_view bytes) { Update(bytes.data(), bytes.size()); }

void Sha256::Update(const void* data, size_t size) {
  ATTUNE_CHECK(EVP_DigestUpdate(state_->context, data, size) == 1);
}

void Sha256::UpdateField(absl::string_view bytes) {
  BeginField(bytes.size());
  Update(bytes);
}

void Sha256::BeginField(uint64_t size) { Update(&size, sizeof(size)); }

std::string Sha256::HexDigest() {
  std::array<unsigned char, 32> out;
  unsigned int size = 0;
  ATTUNE_CHECK(EVP_DigestFinal_ex(state_->context, out.data(), &size) == 1);
  ATTUNE_CHECK(size == out.size());
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(out.data()), out.size()));
}

std::string Sha256Hex(absl::string_view bytes) {
  Sha256 sha;
  sha.Update(bytes);
  return sha.HexDigest();
}

absl::StatusOr<std::string> Sha256OfFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  Sha256 sha;
  std::vector<char> buffer(1 << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
    sha.Update(buffer.data(), static_cast<size_t>(in.gcount()));
  }
  if (in.bad()) return absl::DataLossError(absl::StrCat("cannot read ", path));
  return sha.HexDigest();
}

uint32_t Crc32c(absl::string_view bytes) {
  static const std::array<uint32_t, 256>& table = *[] {
    auto* t = new std::array<uint32_t, 256>;
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0u);
      (*t)[i] = crc;
    }
    return t;
  }();
  uint32_t crc = 0xffffffffu;
  for (unsigned char byte : bytes) crc = (crc >> 8) ^ table[(crc ^ byte) & 0xff];
  return crc ^ 0xffffffffu;
}

}  // namespace attune
