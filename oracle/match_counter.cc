#define PCRE2_CODE_UNIT_WIDTH 8
#include "oracle/match_counter.h"

#include <pcre2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"

namespace attune {
namespace {

// Steps of backtracking. A search first gets kStepsFirst and, when these do not suffice, ten times
// more each time; what it was given is taken from the budget of the text, since PCRE2 does not
// tell what it used. About 10^7 steps a second.
constexpr uint32_t kStepsFirst = 1000;
constexpr uint32_t kStepsMax = 10'000'000;
constexpr uint32_t kHeapKibMax = 64 << 10;

uint64_t StepBudget(size_t text_bytes) {
  // Every byte may begin a match and needs up to two searches; the rest is for hard patterns.
  return 2 * kStepsFirst * (static_cast<uint64_t>(text_bytes) + 1) + 2 * kStepsMax;
}

std::string ErrorText(int code) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(code, text, sizeof(text)) < 0) return absl::StrCat("error ", code);
  return reinterpret_cast<const char*>(text);
}

// The state of counting in one text.
class Scan {
 public:
  Scan(const pcre2_code* code, absl::string_view text)
      : code_(code),
        text_(text),
        steps_left_(StepBudget(text.size())),
        context_(pcre2_match_context_create(nullptr)),
        match_(pcre2_match_data_create_from_pattern(code, nullptr)) {
    ATTUNE_CHECK(context_ != nullptr && match_ != nullptr);
    pcre2_set_heap_limit(context_, kHeapKibMax);
  }
  ~Scan() {
    pcre2_match_data_free(match_);
    pcre2_match_context_free(context_);
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // PCRE2's result of a search from `start`: positive for a match, or an error code.
  int Search(size_t start, uint32_t options) {
    for (uint64_t steps = kStepsFirst;; steps = std::min<uint64_t>(steps * 10, kStepsMax)) {
      if (steps > steps_left_) return PCRE2_ERROR_MATCHLIMIT;
      steps_left_ -= steps;
      pcre2_set_match_limit(context_, static_cast<uint32_t>(steps));
      const int result = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()),
                                     text_.size(), start, options, match_, context_);
      if (result != PCRE2_ERROR_MATCHLIMIT || steps == kStepsMax) return result;
    }
  }

  size_t match_begin() const { return pcre2_get_ovector_pointer(match_)[0]; }
  size_t match_end() const { return pcre2_get_ovector_pointer(match_)[1]; }

 private:
  const pcre2_code* const code_;
  const absl::string_view text_;
  uint64_t steps_left_;
  pcre2_match_context* const context_;
  pcre2_match_data* const match_;
};

// The next character's first byte.
size_t NextCharacter(absl::string_view text, size_t position) {
  ++position;
  while (position < text.size() && (static_cast<unsigned char>(text[position]) & 0xc0) == 0x80) {
    ++position;
  }
  return position;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const MatchCounter>> MatchCounter::Create(
    const std::string& pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the pattern has ", pattern.size(),
                                                   " bytes, the limit is ", kPatternBytesMax));
  }
  int error = 0;
  PCRE2_SIZE position = 0;
  // \C could cut a character in two.
  const uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   options, &error, &position, nullptr);
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the pattern \"", pattern,
                                                   "\" does not compile at byte ", position, ": ",
                                                   ErrorText(error)));
  }
  return std::unique_ptr<const MatchCounter>(new MatchCounter(pattern, code));
}

MatchCounter::MatchCounter(std::string pattern, pcre2_real_code_8* code)
    : pattern_(std::move(pattern)), code_(code) {}

MatchCounter::~MatchCounter() { pcre2_code_free(code_); }

absl::StatusOr<uint64_t> MatchCounter::Count(absl::string_view text) const {
  Scan scan(code_, text);
  uint64_t count = 0;
  size_t start = 0;
  bool after_empty = false;  // the last match was empty and ended at `start`
  while (start <= text.size()) {
    // The first search checks the whole text; to check it each time would make counting quadratic.
    const uint32_t options = (after_empty ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0) |
                             (start > 0 ? PCRE2_NO_UTF_CHECK : 0);
    const int result = scan.Search(start, options);
    if (result > 0) {
      ++count;
      after_empty = scan.match_begin() == scan.match_end();
      start = scan.match_end();
    } else if (result == PCRE2_ERROR_NOMATCH && after_empty) {
      after_empty = false;
      start = NextCharacter(text, start);
    } else if (result == PCRE2_ERROR_NOMATCH) {
      break;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot count the matches of \"", pattern_, "\" in a text of ", text.size(),
          " bytes: ", ErrorText(result),
          result == PCRE2_ERROR_MATCHLIMIT ? "; use a pattern that backtracks less" : ""));
    }
  }
  return count;
}

}  // namespace attune
