// The oracles that come with Attune: a specification -> something that scores responses.
#ifndef ATTUNE_ORACLE_JUDGE_H_
#define ATTUNE_ORACLE_JUDGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attune/v1/job.pb.h"
#include "oracle/lexicon.h"

namespace attune {

// Scores are a function of (digest, response) alone. Immutable, hence thread-safe.
class Judge {
 public:
  virtual ~Judge() = default;

  // Higher is better; finite. `tokens` is the length of the response in tokens.
  [[nodiscard]] virtual absl::StatusOr<double> Score(absl::string_view response,
                                                     uint32_t tokens) const = 0;

  const std::string& oracle() const { return oracle_; }  // kind and version: "lexicon/1"
  // SHA-256 of what decides: the content of the lexicon, the pattern, the target in decimal.
  const std::string& digest() const { return digest_; }

 protected:
  Judge(std::string oracle, std::string digest)
      : oracle_(std::move(oracle)), digest_(std::move(digest)) {}

 private:
  const std::string oracle_;
  const std::string digest_;
};

// INVALID_ARGUMENT with a sentence that names the field: no kind; a path or pattern that is missing
// or does not belong to the kind; a lexicon, pattern or target that cannot be used.
[[nodiscard]] absl::StatusOr<std::unique_ptr<const Judge>> MakeJudge(const v1::OracleSpec& spec,
                                                                     LexiconCache& lexicons);

// "lexicon/1", "length/1", "regex/1"; "none" for anything else.
std::string OracleName(v1::OracleKind kind);

}  // namespace attune

#endif  // ATTUNE_ORACLE_JUDGE_H_
