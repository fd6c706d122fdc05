// Models that answer prompts, for `attune evaluate`.
#ifndef ATTUNE_ORACLE_TOOL_PLAYERS_H_
#define ATTUNE_ORACLE_TOOL_PLAYERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/types.pb.h"
#include "model/sampler.h"
#include "oracle/model_cache.h"

namespace attune {

struct Player {
  std::string name;
  std::string directory;  // Hugging Face model
};

// From "NAME=DIR", or "DIR", whose last folder is then the name. INVALID_ARGUMENT for two of the
// same name and for an empty one.
[[nodiscard]] absl::StatusOr<std::vector<Player>> ParsePlayers(
    absl::Span<const std::string> arguments);

struct PlayerAnswer {
  std::string text;
  uint32_t tokens = 0;              // end-of-sequence included
  double logp = 0;                  // nats, of all tokens, before temperature and truncation
  std::optional<double> log_ratio;  // logp less that of the same tokens under the first model; not
                                    // where that has other tokens or no room for them
};

// Result [player][prompt]: one answer each, whose draws depend on the seed and Prompt.index alone,
// as those of `attune generate`. On all processors, one model after another. INVALID_ARGUMENT and
// NOT_FOUND: a model, or a prompt for it, cannot be used.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<PlayerAnswer>>> AnswerAll(
    absl::Span<const Player> players, absl::Span<const v1::Prompt> prompts,
    const SamplingOptions& sampling, uint64_t seed, ModelCache* models);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_PLAYERS_H_
