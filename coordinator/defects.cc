#include "coordinator/defects.h"

#include <cstddef>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/types/span.h"

namespace attune {
namespace {

// A number for each word, the same for the same words.
std::vector<uint32_t> NumberedWords(absl::string_view text) {
  absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  std::vector<uint32_t> words;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = begin;
    while (end < text.size() && !absl::ascii_isspace(text[end])) ++end;
    if (end > begin) {
      const auto next = static_cast<uint32_t>(numbers.size());
      words.push_back(numbers.try_emplace(text.substr(begin, end - begin), next).first->second);
    }
    begin = end + 1;
  }
  return words;
}

}  // namespace

bool RepeatsNgram(absl::string_view text, uint32_t ngram, uint32_t max_repeats) {
  const std::vector<uint32_t> words = NumberedWords(text);
  absl::flat_hash_map<absl::Span<const uint32_t>, uint32_t> occurrences;
  for (size_t begin = 0; begin + ngram <= words.size(); ++begin) {
    if (++occurrences[absl::MakeConstSpan(&words[begin], ngram)] > max_repeats) return true;
  }
  return false;
}

bool HasDefect(const v1::Response& response, const v1::DefectSpec& spec) {
  if (response.provenance() == v1::PROVENANCE_GOLD) return false;
  if (spec.over_length() && response.finish_reason() == v1::FINISH_REASON_LENGTH) return true;
  return spec.repeated_ngram() > 0 &&
         RepeatsNgram(response.text(), spec.repeated_ngram(), spec.max_repeats());
}

}  // namespace attune
