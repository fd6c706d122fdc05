// What the labels of held-out responses say about a model that gives rewards: a reward model, or
// the policy of a job that samples nothing, whose rewards are beta * log-ratios to the initial
// model (Lin et al. 2024). Pure.
#ifndef ATTUNE_COORDINATOR_LABEL_EVALUATION_H_
#define ATTUNE_COORDINATOR_LABEL_EVALUATION_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/oracle.pb.h"
#include "attune/v1/types.pb.h"
#include "spec/dataset_file.h"

namespace attune {

// Whether nothing is sampled for the held-out prompts of the job. The initial policy has no
// rewards, so that round 0 is not evaluated then.
bool EvaluatesByLabels(const v1::JobSpec& spec);

// The rewards that the model in `checkpoint`, of a round after 0, gives the dataset's responses:
// one item for each of the `holdout` prompts that has two responses with different labels.
v1::JudgeRequest LabelJudgeRequest(const v1::JobSpec& spec, const std::string& checkpoint,
                                   const Dataset& dataset, absl::Span<const uint32_t> holdout);

// accuracy, its interval, pairs, and the prompts whose judgement did not fail. `judgments` answer
// LabelJudgeRequest.
v1::Evaluation EvaluateByLabels(const Dataset& dataset, absl::Span<const v1::Judgment> judgments);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_LABEL_EVALUATION_H_
