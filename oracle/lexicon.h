// A list of words with valences, and the score of a text under it.
//
// Files: lines "token<TAB>valence", further columns ignored (the lexicon of VADER works as it is),
// or, when the name ends in .jsonl, lines {"token": text, "mean": number}, other keys ignored.
// Blank lines are skipped. Tokens are lower-cased. Where several lines give the same token, the
// last holds; but a line written in lower case is never overridden by one that is not, so that
// VADER's ":-D" does not change what VADER says about ":-d".
//
// Score of a text: the text is split on ASCII white space, and each piece adds the valence of one
// word at most: the lower-cased piece as it stands if the lexicon has it (so that emoticons match),
// otherwise the piece without its leading and trailing ASCII punctuation. Every occurrence counts.
// Lower-casing is ASCII only. A token that contains white space therefore never matches.
#ifndef ATTUNE_ORACLE_LEXICON_H_
#define ATTUNE_ORACLE_LEXICON_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace attune {

// Immutable, hence thread-safe.
class Lexicon {
 public:
  // `path` names the file in errors and tells its format; `content` is what it holds.
  // INVALID_ARGUMENT names the first bad line by number, or says that there is no entry at all.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Lexicon>> Parse(
      const std::string& path, absl::string_view content);

  // Always finite: a valence is at most kValenceMax.
  double Score(absl::string_view text) const;

  size_t size() const { return valences_.size(); }
  const std::string& digest() const { return digest_; }  // SHA-256 of the content

  static constexpr double kValenceMax = 1e9;

 private:
  explicit Lexicon(std::string digest) : digest_(std::move(digest)) {}

  const std::string digest_;
  absl::flat_hash_map<std::string, double> valences_;
};

// The lexicons used last, so that a request need not parse its lexicon again. The file is read for
// each request: a verdict always carries the digest of the content that decided it. Thread-safe.
class LexiconCache {
 public:
  // INVALID_ARGUMENT: the file does not exist, may not be read, is too large or is malformed.
  // UNAVAILABLE: the file system failed; the same call may succeed later.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Lexicon>> Load(const std::string& path);

  static constexpr size_t kLexiconsMax = 4;
  static constexpr uint64_t kFileBytesMax = 64 << 20;

 private:
  struct Entry {
    std::string path;  // with the digest: the key; the path tells the format
    std::shared_ptr<const Lexicon> lexicon;
  };

  absl::Mutex mu_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mu_);  // most recently used first
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_LEXICON_H_
