#include "spec/dataset_file.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "spec/dataset_rows.h"

namespace attune {
namespace {

constexpr uint64_t kChunkBytes = 4 << 20;
constexpr size_t kRowBytesMax = 1 << 20;
constexpr size_t kPromptsMax = 10'000'000;
// Of the JSON of a row: objects look their keys up one by one, and are written by recursion.
constexpr int kRowKeysMax = 4096;
constexpr int kRowDepthMax = 64;
constexpr size_t kProblemsMax = 10;  // told one by one
// What a row is called: of JSON lines, of a JSON list.
constexpr absl::string_view kLine = "line";
constexpr absl::string_view kRow = "row";

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    utf8proc_int32_t codepoint;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &codepoint);
    if (size <= 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

// What is wrong with the row, or "". `unit` is what a row is called.
std::string ParseRow(absl::string_view unit, absl::string_view text, v1::Prompt* prompt) {
  if (text.size() > kRowBytesMax) return absl::StrCat("the ", unit, " is longer than 1 MiB");
  if (!IsUtf8(text)) return absl::StrCat("the ", unit, " is not valid UTF-8");
  int keys = 0;
  bool within_limits = true;
  const auto count = [&](int depth, RowJson::parse_event_t event, RowJson&) {
    if (event == RowJson::parse_event_t::key) ++keys;
    within_limits = within_limits && keys <= kRowKeysMax && depth <= kRowDepthMax;
    return within_limits;
  };
  const RowJson row = RowJson::parse(text.begin(), text.end(), count, /*allow_exceptions=*/false);
  if (!within_limits) {
    return absl::StrCat("the ", unit, " has more than ", kRowKeysMax,
                        " keys or is nested more than ", kRowDepthMax, " deep");
  }
  if (row.is_discarded()) return absl::StrCat("the ", unit, " is not valid JSON");
  if (!row.is_object()) return absl::StrCat("the ", unit, " must be {...}, not ", row.type_name());
  return ReadRow(row, prompt);
}

// Takes the file row by row and remembers the first problems.
class Reader {
 public:
  Reader(const std::string& path, absl::string_view unit) : path_(path), unit_(unit) {}

  void AddRow(absl::string_view text) {
    ++rows_;
    if (absl::StripAsciiWhitespace(text).empty() && unit_ == kLine) return;
    v1::Prompt prompt;
    AddProblem(ParseRow(unit_, text, &prompt), &prompt);
  }

  // Of the file as a whole, found at its end.
  void Refuse(absl::string_view problem) { broken_ = std::string(problem); }

  absl::StatusOr<std::vector<v1::Prompt>> Finish() && {
    const auto refused = [&](const auto&... parts) {
      return absl::InvalidArgumentError(absl::StrCat(path_, " ", parts...));
    };
    if (bad_rows_ > 0) {
      const std::string more =
          bad_rows_ > kProblemsMax ? absl::StrCat("; and ", bad_rows_ - kProblemsMax, " more") : "";
      return refused(absl::StrJoin(problems_, "; "), more, " (", bad_rows_, " bad ", unit_,
                     bad_rows_ == 1 ? "" : "s", " of ", rows_, ")");
    }
    if (!broken_.empty()) return refused(broken_);
    if (too_many_) return refused("has more than ", kPromptsMax, " prompts, which is the limit");
    if (prompts_.empty()) return refused("has no prompts");
    return std::move(prompts_);
  }

 private:
  void AddProblem(const std::string& problem, v1::Prompt* prompt) {
    if (!problem.empty()) {
      if (bad_rows_++ < kProblemsMax) {
        problems_.push_back(absl::StrCat(unit_, " ", rows_, ": ", problem));
      }
    } else if (prompts_.size() == kPromptsMax) {
      too_many_ = true;
    } else {
      prompt->set_index(static_cast<uint32_t>(prompts_.size()));
      prompts_.push_back(std::move(*prompt));
    }
  }

  const std::string& path_;
  const absl::string_view unit_;
  std::vector<v1::Prompt> prompts_;
  uint64_t rows_ = 0;
  uint64_t bad_rows_ = 0;
  std::vector<std::string> problems_;
  std::string broken_;
  bool too_many_ = false;
};

// Cuts JSON lines into rows. Of a line that is too long no more is kept than shows that it is.
class LineSplitter {
 public:
  void Take(absl::string_view chunk, Reader& reader) {
    buffer_ += std::string(chunk);
    size_t begin = 0;
    for (size_t end; (end = buffer_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      reader.AddRow(absl::string_view(buffer_).substr(begin, end - begin));
    }
    buffer_.erase(0, begin);
    buffer_.resize(std::min(buffer_.size(), kRowBytesMax + 1));
  }

  void Finish(Reader& reader) {
    if (!buffer_.empty()) reader.AddRow(buffer_);
  }

 private:
  std::string buffer_;
};

// Cuts one JSON list into its elements, likewise.
class ListSplitter {
 public:
  void Take(absl::string_view chunk, Reader& reader) {
    for (const char c : chunk) {
      if (in_text_) {
        Keep(c);
        in_text_ = escaped_ || c != '"';
        escaped_ = !escaped_ && c == '\\';
      } else if (depth_ == 0) {
        TakeOutside(c);
      } else if (depth_ == 1 && (c == ',' || c == ']')) {
        TakeEnd(c, reader);
      } else {
        if (c == '{' || c == '[') ++depth_;
        if (c == '}' || c == ']') --depth_;
        in_text_ = c == '"';
        Keep(c);
      }
    }
  }

  void Finish(Reader& reader) {
    if (!closed_) reader.Refuse("begins a JSON list that has no end");
    if (rest_) reader.Refuse("goes on after the end of its JSON list");
  }

 private:
  void TakeOutside(char c) {
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) return;
    if (closed_) rest_ = true;
    depth_ = closed_ ? 0 : 1;  // the first is '['
  }

  void TakeEnd(char c, Reader& reader) {
    const bool is_empty_list =
        c == ']' && elements_ == 0 && absl::StripAsciiWhitespace(element_).empty();
    if (!is_empty_list) reader.AddRow(element_);
    ++elements_;
    element_.clear();
    if (c == ']') depth_ = 0;
    closed_ = c == ']';
  }

  void Keep(char c) {
    if (element_.size() <= kRowBytesMax) element_.push_back(c);
  }

  std::string element_;
  uint64_t elements_ = 0;
  int depth_ = 0;  // of brackets that are open
  bool in_text_ = false;
  bool escaped_ = false;
  bool closed_ = false;
  bool rest_ = false;
};

// Reads what `splitter` makes of a file.
template <typename Splitter>
absl::StatusOr<Dataset> ReadRows(const std::string& path, absl::string_view unit) {
  Reader reader(path, unit);
  Splitter splitter;
  Sha256 sha;
  for (uint64_t offset = 0;;) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string chunk, ReadFileRange(path, offset, kChunkBytes));
    if (chunk.empty()) break;
    sha.Update(chunk);
    splitter.Take(chunk, reader);
    offset += chunk.size();
  }
  splitter.Finish(reader);
  Dataset dataset;
  ATTUNE_ASSIGN_OR_RETURN(dataset.prompts, std::move(reader).Finish());
  dataset.digest = sha.HexDigest();
  return dataset;
}

}  // namespace

absl::StatusOr<Dataset> LoadDataset(const std::string& path) {
  if (!FileExists(path)) return absl::NotFoundError(absl::StrCat("there is no file ", path));
  ATTUNE_ASSIGN_OR_RETURN(const std::string head, ReadFileRange(path, 0, kChunkBytes));
  const bool is_list = absl::StartsWith(absl::StripLeadingAsciiWhitespace(head), "[");
  return is_list ? ReadRows<ListSplitter>(path, kRow) : ReadRows<LineSplitter>(path, kLine);
}

}  // namespace attune
