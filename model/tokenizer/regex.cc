#include "model/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/tokenizer/regex_syntax.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;

PCRE2_SPTR AsPcre2(absl::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string Pcre2Message(int error) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(error, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

// The limits exist to stop patterns that backtrack without end; the library has none.
MatchContext GenerousContext() {
  MatchContext context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), UINT32_MAX);
  pcre2_set_depth_limit(context.get(), UINT32_MAX);
  return context;
}

bool MatchAt(const pcre2_code* code, absl::string_view text, size_t offset, MatchData* data) {
  int count = pcre2_match(code, AsPcre2(text), text.size(), offset, PCRE2_NO_UTF_CHECK, data->get(),
                          nullptr);
  if (count == PCRE2_ERROR_JIT_STACKLIMIT || count == PCRE2_ERROR_MATCHLIMIT) {
    // The interpreter keeps its stack on the heap.
    count = pcre2_match(code, AsPcre2(text), text.size(), offset, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        data->get(), GenerousContext().get());
  }
  return count > 0;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Regex>> Regex::Compile(absl::string_view pattern) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string translated, Pcre2FromOniguruma(pattern));
  CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(AsPcre2(translated), translated.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                    &error, &offset, context.get());
  if (code == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("regular expression '", pattern, "' is not supported: ", Pcre2Message(error)));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is none, the interpreter serves
  return std::shared_ptr<const Regex>(new Regex(code));
}

Regex::~Regex() { pcre2_code_free(code_); }

std::vector<TextSpan> Regex::FindAll(absl::string_view text) const {
  std::vector<TextSpan> matches;
  MatchData data(pcre2_match_data_create_from_pattern(code_, nullptr));
  ATTUNE_CHECK(data != nullptr);
  size_t offset = 0;
  while (offset <= text.size() && MatchAt(code_, text, offset, &data)) {
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data.get());
    const TextSpan match{bounds[0], bounds[1]};
    if (match.size() == 0 && !matches.empty() && matches.back().end == match.end) {
      if (offset == text.size()) break;
      NextCodePoint(text, &offset);
      continue;
    }
    matches.push_back(match);
    offset = match.end;
  }
  return matches;
}

}  // namespace attune
