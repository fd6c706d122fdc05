#include "oracle/lexicon.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

struct Word {
  std::string token;
  double valence;
};

absl::StatusOr<Word> ParseTabbedLine(absl::string_view line) {
  const std::vector<absl::string_view> columns = absl::StrSplit(line, '\t');
  if (columns.size() < 2) {
    return absl::InvalidArgumentError("expected token<TAB>valence, found no tab");
  }
  Word word{std::string(columns[0]), 0.0};
  if (!absl::SimpleAtod(columns[1], &word.valence)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the valence \"", columns[1], "\" is not a number"));
  }
  return word;
}

absl::StatusOr<Word> ParseJsonLine(absl::string_view line) {
  const nlohmann::json json =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("token") || !json["token"].is_string() ||
      !json.contains("mean") || !json["mean"].is_number()) {
    return absl::InvalidArgumentError("expected {\"token\": text, \"mean\": number}");
  }
  return Word{json["token"].get<std::string>(), json["mean"].get<double>()};
}

absl::StatusOr<Word> ParseLine(absl::string_view line, bool json) {
  ATTUNE_ASSIGN_OR_RETURN(Word word, json ? ParseJsonLine(line) : ParseTabbedLine(line));
  if (word.token.empty()) return absl::InvalidArgumentError("the token is empty");
  if (!(std::abs(word.valence) <= Lexicon::kValenceMax)) {
    return absl::InvalidArgumentError(absl::StrCat("the valence ", word.valence,
                                                   " is not between -", Lexicon::kValenceMax,
                                                   " and ", Lexicon::kValenceMax));
  }
  return word;
}

absl::string_view StripPunctuation(absl::string_view piece) {
  while (!piece.empty() && absl::ascii_ispunct(piece.front())) piece.remove_prefix(1);
  while (!piece.empty() && absl::ascii_ispunct(piece.back())) piece.remove_suffix(1);
  return piece;
}

absl::StatusOr<std::string> ReadLexiconFile(const std::string& path) {
  if (!FileExists(path)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot load the lexicon ", path,
                                                   ": there is no such file; set oracle.path to "
                                                   "a file that the oracle process can see"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  if (size > LexiconCache::kFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("cannot load the lexicon ", path, ": it has ",
                                                   size, " bytes, the limit is ",
                                                   LexiconCache::kFileBytesMax));
  }
  absl::StatusOr<std::string> content = ReadFile(path);
  if (absl::IsPermissionDenied(content.status())) {
    return absl::InvalidArgumentError(content.status().message());
  }
  return content;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Lexicon>> Lexicon::Parse(const std::string& path,
                                                              absl::string_view content) {
  const bool json = absl::EndsWith(path, ".jsonl");
  std::shared_ptr<Lexicon> lexicon(new Lexicon(Sha256Hex(content)));
  absl::flat_hash_set<std::string> written_in_lower_case;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    ++number;
    line = absl::StripSuffix(line, "\r");
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    absl::StatusOr<Word> word = ParseLine(line, json);
    if (!word.ok()) return Annotate(word.status(), absl::StrCat(path, " line ", number));
    std::string token = absl::AsciiStrToLower(word->token);
    const bool lower_case = token == word->token;
    if (!lower_case && written_in_lower_case.contains(token)) continue;
    if (lower_case) written_in_lower_case.insert(token);
    lexicon->valences_[std::move(token)] = word->valence;
  }
  if (lexicon->valences_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds no entry; a lexicon needs at least one token"));
  }
  return lexicon;
}

double Lexicon::Score(absl::string_view text) const {
  const std::string lower = absl::AsciiStrToLower(text);
  double score = 0.0;
  for (absl::string_view piece :
       absl::StrSplit(lower, absl::ByAnyChar(" \t\n\v\f\r"), absl::SkipEmpty())) {
    auto found = valences_.find(piece);
    if (found == valences_.end()) found = valences_.find(StripPunctuation(piece));
    if (found != valences_.end()) score += found->second;
  }
  return score;
}

absl::StatusOr<std::shared_ptr<const Lexicon>> LexiconCache::Load(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string content, ReadLexiconFile(path));
  const std::string digest = Sha256Hex(content);
  {
    absl::MutexLock lock(&mu_);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.path == path && entry.lexicon->digest() == digest;
    });
    if (found != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, found);
      return found->lexicon;
    }
  }
  // Parsed outside the lock; two callers may do it at once, which costs time and nothing else.
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Lexicon> lexicon, Lexicon::Parse(path, content));
  absl::MutexLock lock(&mu_);
  entries_.push_front({path, lexicon});
  if (entries_.size() > kLexiconsMax) entries_.pop_back();
  return lexicon;
}

}  // namespace attune
