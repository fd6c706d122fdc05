#include "model/tokenizer/byte_alphabet.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

constexpr size_t kCharactersEnd = 256 + 68;  // 68 bytes have no visible character of their own

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, kCharactersEnd> bytes;  // by code point; -1: not in the alphabet

  Alphabet() {
    bytes.fill(-1);
    char32_t next_substitute = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool visible = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const char32_t character = visible ? static_cast<char32_t>(byte) : next_substitute++;
      AppendCodePoint(character, &characters[byte]);
      bytes[character] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet* const alphabet = new Alphabet();
  return *alphabet;
}

}  // namespace

std::string InByteAlphabet(absl::string_view text) {
  std::string written;
  written.reserve(text.size() + text.size() / 4);
  const Alphabet& alphabet = TheAlphabet();
  for (char byte : text) written += alphabet.characters[static_cast<unsigned char>(byte)];
  return written;
}

void AppendTokenBytes(absl::string_view token, std::string* bytes) {
  const Alphabet& alphabet = TheAlphabet();
  const size_t before = bytes->size();
  for (size_t offset = 0; offset < token.size();) {
    const char32_t character = NextCodePoint(token, &offset);
    if (character >= kCharactersEnd || alphabet.bytes[character] < 0) {
      bytes->resize(before);
      bytes->append(token.data(), token.size());
      return;
    }
    bytes->push_back(static_cast<char>(alphabet.bytes[character]));
  }
}

}  // namespace attune
