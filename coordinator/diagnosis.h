// What a round's samples, judgements and pairs look like, one function per phase. Pure.
#ifndef ATTUNE_COORDINATOR_DIAGNOSIS_H_
#define ATTUNE_COORDINATOR_DIAGNOSIS_H_

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

// entropy, mean_length and kl of the policy's own samples (kl where all have log-probabilities of
// the initial policy), defect_rate of all responses; sampler_gap and sampler_staleness where
// something else than the policy sampled, the gap over the responses with sampling_logps.
void DiagnoseSamples(const v1::DefectSpec& defects, absl::Span<const v1::Response> responses,
                     v1::Diagnosis* diagnosis);

// tie_rate, length_bias, cycle_rate, triples, swap_consistency, swaps and unjudged: the judgments
// that have neither scores nor a failure. Responses are grouped by
// prompt, by sample; those without a judgment, or whose judgement failed, count nowhere. Two
// candidates are tied where the oracle's preference is exactly 1/2, or without preferences where
// their scores are equal.
void DiagnoseJudgments(absl::Span<const v1::Response> responses,
                       absl::Span<const v1::Judgment> judgments, v1::Diagnosis* diagnosis);

// chosen_length, rejected_length, chosen_longer, mean_margin, mean_ches and high_ches. Pairs whose
// CHES score is not known (0) or no number count in the others alone.
void DiagnosePairs(absl::Span<const v1::Pair> pairs, v1::Diagnosis* diagnosis);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_DIAGNOSIS_H_
