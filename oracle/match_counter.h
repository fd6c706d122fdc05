// How often a PCRE2 pattern matches in a text, with an upper bound on the work.
#ifndef ATTUNE_ORACLE_MATCH_COUNTER_H_
#define ATTUNE_ORACLE_MATCH_COUNTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct pcre2_real_code_8;

namespace attune {

// Immutable, hence thread-safe.
class MatchCounter {
 public:
  // INVALID_ARGUMENT says at which position the pattern does not compile, or that it is longer
  // than kPatternBytesMax. Pattern and texts are UTF-8; character classes are PCRE2's defaults (\w
  // is ASCII unless the pattern begins with (*UCP)).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const MatchCounter>> Create(
      const std::string& pattern);
  ~MatchCounter();

  // Matches from left to right that do not overlap; empty ones count, as in Perl and Python.
  // INVALID_ARGUMENT when the text is not UTF-8, and when the pattern backtracks more than the
  // budget of a text allows (a function of its length alone, so that the outcome is the same on
  // every machine).
  [[nodiscard]] absl::StatusOr<uint64_t> Count(absl::string_view text) const;

  static constexpr size_t kPatternBytesMax = 16384;

 private:
  MatchCounter(std::string pattern, pcre2_real_code_8* code);

  const std::string pattern_;
  pcre2_real_code_8* const code_;  // owned
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_MATCH_COUNTER_H_
