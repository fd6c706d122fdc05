#include "model/tokenizer/utf8.h"

#include <algorithm>
#include <cstdint>

namespace attune {
namespace {

// What one step over arbitrary bytes found.
struct Step {
  size_t bytes;
  bool valid;
};

// Limits of the second byte, which exclude overlong forms, surrogates and values over U+10FFFF.
struct SecondByte {
  unsigned char min;
  unsigned char max;
};

SecondByte SecondByteLimits(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

Step StepAt(absl::string_view bytes, size_t offset) {
  const unsigned char lead = bytes[offset];
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t length = SequenceLength(lead);
  SecondByte limits = SecondByteLimits(lead);
  for (size_t i = 1; i < length; ++i) {
    if (offset + i >= bytes.size()) return {i, false};
    const unsigned char next = bytes[offset + i];
    if (next < limits.min || next > limits.max) return {i, false};
    limits = {0x80, 0xBF};
  }
  return {length, true};
}

}  // namespace

size_t SequenceLength(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

char32_t NextCodePoint(absl::string_view text, size_t* offset) {
  const unsigned char lead = text[*offset];
  const size_t length = SequenceLength(lead);
  // The lead byte keeps 7, 5, 4 or 3 bits.
  char32_t code_point = length == 1 ? lead : lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[*offset + i]) & 0x3F);
  }
  *offset += length;
  return code_point;
}

char32_t PreviousCodePoint(absl::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return NextCodePoint(text, &begin);
}

size_t Utf8Length(char32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

void AppendCodePoint(char32_t code_point, std::string* out) {
  const size_t length = Utf8Length(code_point);
  if (length == 1) {
    out->push_back(static_cast<char>(code_point));
    return;
  }
  static constexpr unsigned char kLeadMarks[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out->push_back(static_cast<char>(kLeadMarks[length] | (code_point >> (6 * (length - 1)))));
  for (size_t i = length - 1; i-- > 0;) {
    out->push_back(static_cast<char>(0x80 | ((code_point >> (6 * i)) & 0x3F)));
  }
}

bool IsValidUtf8(absl::string_view bytes) {
  for (size_t offset = 0; offset < bytes.size();) {
    const Step step = StepAt(bytes, offset);
    if (!step.valid) return false;
    offset += step.bytes;
  }
  return true;
}

size_t UnfinishedUtf8Bytes(absl::string_view bytes) {
  constexpr size_t kUnfinishedMax = 3;
  for (size_t count = 1; count <= std::min(kUnfinishedMax, bytes.size()); ++count) {
    const size_t offset = bytes.size() - count;
    const unsigned char lead = bytes[offset];
    if ((lead & 0xC0) == 0x80) continue;  // inside a character
    const bool begins_character = lead >= 0xC2 && lead <= 0xF4;
    const Step step = StepAt(bytes, offset);
    return begins_character && !step.valid && step.bytes == count ? count : 0;
  }
  return 0;
}

std::string ToValidUtf8(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t offset = 0; offset < bytes.size();) {
    const Step step = StepAt(bytes, offset);
    if (step.valid) {
      text.append(bytes.data() + offset, step.bytes);
    } else {
      AppendCodePoint(kReplacementCharacter, &text);
    }
    offset += step.bytes;
  }
  return text;
}

}  // namespace attune
