// UTF-8 <-> code points.
#ifndef ATTUNE_MODEL_TOKENIZER_UTF8_H_
#define ATTUNE_MODEL_TOKENIZER_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace attune {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// The code point at `*offset`, which moves behind it. `text` must be valid UTF-8 and
// *offset < text.size().
char32_t NextCodePoint(absl::string_view text, size_t* offset);

// The code point that ends at `end`. `text` must be valid UTF-8 and 0 < end <= text.size().
char32_t PreviousCodePoint(absl::string_view text, size_t end);

// Bytes of the UTF-8 sequence that begins with `lead`, a byte that can begin one.
size_t SequenceLength(unsigned char lead);

void AppendCodePoint(char32_t code_point, std::string* out);
size_t Utf8Length(char32_t code_point);

bool IsValidUtf8(absl::string_view bytes);

// How many bytes at the end begin a character that further bytes could complete: 0 to 3.
size_t UnfinishedUtf8Bytes(absl::string_view bytes);

// Each maximal part of an ill-formed sequence becomes one U+FFFD, as browsers and Rust do it.
std::string ToValidUtf8(absl::string_view bytes);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_UTF8_H_
