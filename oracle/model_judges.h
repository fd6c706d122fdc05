// Oracles that ask a model in this process. Prompts and responses become tokens as rollout workers
// make them of what a dataset gives (EncodePrompt, EncodeResponse). A text beyond the model's
// context fails the verdict, with all lengths named.
#ifndef ATTUNE_ORACLE_MODEL_JUDGES_H_
#define ATTUNE_ORACLE_MODEL_JUDGES_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/oracle_spec.pb.h"
#include "oracle/judge.h"
#include "oracle/model_cache.h"

namespace attune {

// For all of them: the kind must be the function's; errors as of ModelCache::Load, with the field,
// and INVALID_ARGUMENT for a model of the wrong kind.

// The output of a sequence classification model with one label at the last token of prompt,
// response and end of sequence.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeRewardModelJudge(
    const v1::OracleSpec& spec, ModelCache& models);

// beta * (log p(response | prompt) - log p_reference(response | prompt)), summed over the tokens of
// the response and its end of sequence (Rafailov et al. 2023). The tokens are those of the model of
// spec.path() for both, whose vocabularies must be of one size.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeImplicitRewardJudge(
    const v1::OracleSpec& spec, ModelCache& models);

// Reasoning reflection (Xu et al. 2025): how much a response, read as the reasoning, makes the gold
// answer behind it likelier (ReflectionScores). The answer's tokens are those that follow the
// prompt alone, without an end of sequence, the same behind every response. Scores depend on which
// candidates are judged together. An item without gold answer fails.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeR3Judge(const v1::OracleSpec& spec,
                                                                       ModelCache& models);

// The scores of G responses by the N > 0 tokens of an answer. `logps`: G rows of N
// log-probabilities of the answer's tokens behind prompt and response; `masked`: N, behind the
// prompt alone.
//   score_i = sum_j w_j (logps_ij - masked_j),  w_j = sigma_j / sum of sigma,
// where sigma_j is the standard deviation (of the population) of logps_ij over i: tokens that
// depend on the reasoning count. Where none does (one response, or all alike), w_j = 1 / N.
std::vector<double> ReflectionScores(const std::vector<std::vector<float>>& logps,
                                     absl::Span<const float> masked);

}  // namespace attune

#endif  // ATTUNE_ORACLE_MODEL_JUDGES_H_
