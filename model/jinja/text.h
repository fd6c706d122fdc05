// The methods of Python's str that chat templates use, on UTF-8. All texts are valid UTF-8; a
// character is a code point.
//
// Case follows the simple mappings of Unicode, letter by letter: the upper case of the German sharp
// s is one letter, not SS, and a Greek sigma at the end of a word is like any other.
#ifndef ATTUNE_MODEL_JINJA_TEXT_H_
#define ATTUNE_MODEL_JINJA_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attune::jinja {

bool IsSpace(char32_t c);  // str.isspace and \s
std::vector<absl::string_view> Characters(absl::string_view text);
size_t CharacterCount(absl::string_view text);

// Where `part` first is at or after byte `from` <= text.size(), or npos. Linear also where
// string_view::find is quadratic: templates may be hostile.
size_t Find(absl::string_view text, absl::string_view part, size_t from = 0);

// Without what `chars` has (white space, if that is left out) at the sides that are said.
absl::string_view Strip(absl::string_view text, std::optional<absl::string_view> chars,
                        bool at_start, bool at_end);

// At white space if `separator` is left out; else it is not empty. `splits_max` < 0 is no limit.
std::vector<absl::string_view> Split(absl::string_view text,
                                     std::optional<absl::string_view> separator,
                                     int64_t splits_max);
std::vector<absl::string_view> SplitFromEnd(absl::string_view text,
                                            std::optional<absl::string_view> separator,
                                            int64_t splits_max);
std::vector<absl::string_view> SplitLines(absl::string_view text, bool keep_ends);

std::string Upper(absl::string_view text);
std::string Lower(absl::string_view text);
std::string Capitalized(absl::string_view text);
std::string Titled(absl::string_view text);          // str.title
std::string TitledWords(absl::string_view text);     // the filter `title`, which is another thing
std::string EscapedForHtml(absl::string_view text);  // the filter `escape`

int64_t CountOf(absl::string_view text, absl::string_view part);  // without overlaps
// `count` < 0 replaces all.
std::string Replaced(absl::string_view text, absl::string_view from, absl::string_view to,
                     int64_t count);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_TEXT_H_
