// The alphabet of byte-level tokenizers (GPT-2): each byte is written as one visible character, so
// that a vocabulary of strings covers all byte sequences. A space, for example, is "Ġ".
#ifndef ATTUNE_MODEL_TOKENIZER_BYTE_ALPHABET_H_
#define ATTUNE_MODEL_TOKENIZER_BYTE_ALPHABET_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attune {

// `text` with each of its bytes written as a character.
std::string InByteAlphabet(absl::string_view text);

// Appends the bytes that `token` stands for. A token with a character outside the alphabet stands
// for its own bytes. `token` is valid UTF-8.
void AppendTokenBytes(absl::string_view token, std::string* bytes);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_BYTE_ALPHABET_H_
