// Models judged against each other on the same prompts, and the statistics of that. Pure, but for
// the oracle's verdicts.
#ifndef ATTUNE_ORACLE_TOOL_MATCH_H_
#define ATTUNE_ORACLE_TOOL_MATCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/types.pb.h"
#include "common/statistics.h"
#include "oracle/tool_oracles.h"
#include "oracle/tool_players.h"

namespace attune {

// The verdicts of the prompts whose judgement did not fail.
class Match {
 public:
  // `answers` [player][prompt]. The answers to a prompt are judged together, in an order drawn by
  // prompt, so that no model gains by its place. UNAVAILABLE when all judgements failed.
  [[nodiscard]] static absl::StatusOr<Match> Play(
      const NamedJudge& judge, absl::Span<const v1::Prompt> prompts,
      absl::Span<const std::vector<PlayerAnswer>> answers);

  size_t players() const { return players_; }
  size_t prompts() const { return scores_.size(); }  // judged
  size_t failed() const { return failed_; }

  double MeanScore(size_t player) const;

  // Probabilities that `player` is preferred to `other`, by prompt: 1, 1/2, 0 of an oracle of
  // scores.
  std::vector<double> Preferences(size_t player, size_t other) const;
  double WinRate(size_t player, size_t other) const;
  // At equal lengths in tokens.
  double LengthControlled(size_t player, size_t other) const;

  struct Rating {
    double value;       // Bradley-Terry, logits; the mean over players is 0
    Interval interval;  // 95 % percentile interval over prompts drawn again by `seed`
  };
  std::vector<Rating> Ratings(uint64_t seed) const;

 private:
  // Bradley-Terry ratings over the prompts drawn.
  std::vector<double> RatingsOf(absl::Span<const size_t> prompts) const;

  size_t players_ = 0;
  size_t failed_ = 0;
  std::vector<std::vector<double>> scores_;       // [prompt][player]
  std::vector<std::vector<double>> preferences_;  // [prompt][player * players_ + other]
  std::vector<std::vector<double>> lengths_;      // [prompt][player], tokens
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_MATCH_H_
