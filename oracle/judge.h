// What every oracle is: the candidates of one prompt -> a verdict.
#ifndef ATTUNE_ORACLE_JUDGE_H_
#define ATTUNE_ORACLE_JUDGE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attune/v1/oracle.pb.h"

namespace attune {

// Of n candidates.
struct Verdict {
  std::vector<double> scores;       // by candidate; higher is better; finite
  std::vector<double> preferences;  // n x n by row, P(row is preferred to column); p_ij + p_ji = 1,
                                    // p_ii = 1/2; empty: an oracle of scores
  uint32_t swaps = 0;               // pairs asked in both orders
  uint32_t swaps_agreed = 0;        // with the same answer
};

// A verdict is a function of (digest, candidates) alone, whatever the order and company in which
// they are asked. Immutable to its callers, and thread-safe.
class Judge {
 public:
  virtual ~Judge() = default;

  // `item` has a length for each response. An error is a judgement that failed: it is reported as
  // such, and never becomes a score.
  [[nodiscard]] virtual absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const = 0;

  const std::string& oracle() const { return oracle_; }  // kind and version: "lexicon/1"
  // SHA-256 of what decides: the content of the lexicon, the pattern, the weights of a model.
  const std::string& digest() const { return digest_; }

 protected:
  Judge(std::string oracle, std::string digest)
      : oracle_(std::move(oracle)), digest_(std::move(digest)) {}

 private:
  const std::string oracle_;
  const std::string digest_;
};

// A judge that looks at one response at a time.
class ScoringJudge : public Judge {
 public:
  [[nodiscard]] absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const final;

  // Higher is better; finite. `index` is below item.responses_size().
  [[nodiscard]] virtual absl::StatusOr<double> Score(const v1::Candidates& item,
                                                     int index) const = 0;

 protected:
  using Judge::Judge;
};

// The verdict of probabilities alone: the score of a candidate is its mean probability against the
// others, 1/2 if there are none.
Verdict VerdictOfPreferences(std::vector<double> preferences, size_t candidates);

}  // namespace attune

#endif  // ATTUNE_ORACLE_JUDGE_H_
