// What a job asks of workers in a phase, made from its spec and what earlier phases stored. Pure.
#ifndef ATTUNE_COORDINATOR_PHASE_REQUESTS_H_
#define ATTUNE_COORDINATOR_PHASE_REQUESTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/oracle.pb.h"
#include "attune/v1/rollout.pb.h"
#include "attune/v1/types.pb.h"
#include "spec/dataset_file.h"

namespace attune {

// Whether pairing cannot do without Response.hidden_sum, which is always asked for: the diagnosis
// of the pairs is made of it where there is one.
bool NeedsHiddenSums(const v1::JobSpec& spec);

// The training samples of a round, with what its pairs and losses need of them. Corrupted prompts
// go along only where a loss uses them: otherwise their length must not matter.
v1::SampleRequest RoundSampleRequest(const v1::JobSpec& spec, const Dataset& dataset,
                                     absl::Span<const uint32_t> prompts, uint32_t round,
                                     const v1::PolicyVersion& policy);

// One response of the policy itself for each held-out prompt, with log-probabilities of the initial
// policy. Its draws are independent of the training samples' and of other rounds'.
v1::SampleRequest HoldoutSampleRequest(const v1::JobSpec& spec, const Dataset& dataset,
                                       absl::Span<const uint32_t> prompts, uint32_t round,
                                       const v1::PolicyVersion& policy);

// One item per prompt with its responses in order of sample. `responses` are grouped by prompt.
v1::JudgeRequest MakeJudgeRequest(const v1::OracleSpec& spec, const Dataset& dataset,
                                  absl::Span<const v1::Response> responses);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PHASE_REQUESTS_H_
