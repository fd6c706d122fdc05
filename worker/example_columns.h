// From an example (a pair or a group) to the numbers its loss is made of, and from the numbers of
// many examples to a batch of losses. The numbers of an example depend on it and on the models
// alone, so that they may be computed anywhere, gathered, and put together as one update.
#ifndef ATTUNE_WORKER_EXAMPLE_COLUMNS_H_
#define ATTUNE_WORKER_EXAMPLE_COLUMNS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"
#include "worker/differentiable_model.h"
#include "worker/training_objective.h"

namespace attune {

// Of every sequence of an example (training_objective.h has their order). The first ones carry
// gradients.
enum Column : int64_t {
  kLogpColumn,
  kSequenceKlColumn,
  kSelfWeightedColumn,
  kAnchorKlColumn,
  kRewardColumn,  // of a reward model, which has none of the others that models say
  kReferenceLogpColumn,
  kOtherLogpColumn,  // of TrainingModels.other
  kLengthColumn,
  kWpoLogWeightColumn,
  kScoreColumn,
  kWinRateColumn,
  kMarginColumn,
  kTargetColumn,  // of the example, with its first sequence
  kColumns,
};

struct ExampleColumns {
  at::Tensor values;  // [SequencesOf(objective), kColumns], float64
  double tokens;      // prompts and responses of all sequences
  // logp - recorded rollout logp of its responses: what changed since they were sampled. 0 for a
  // reward model.
  double chosen_change = 0;
  double rejected_change = 0;
  double largest_change = 0;  // |.| of any of them
};

// Read alone.
struct TrainingModels {
  const ModelConfig* config;  // of the policy
  const DifferentiableModel* policy;
  const DifferentiableModel* reference;  // null: what the examples record, or no reference
  const DifferentiableModel* other = nullptr;  // of two policies that learn from each other, the
                                               // one that is not `policy`
};

// Examples for one pass of the models after the other: at most `examples` of them, and of about
// kPassTokens tokens at most where there is more than one. That is a matter of memory: an example
// has the same numbers, and adds the same to the gradients, in any pass.
inline constexpr int64_t kPassTokens = 2048;
std::vector<absl::Span<const v1::TrainingPair>> PassesOf(absl::Span<const v1::TrainingPair> pairs,
                                                         size_t examples = 64);

// Of each example, from one pass. INVALID_ARGUMENT, naming the pair, for what the model cannot
// take, or an example that lacks what the objective needs. With gradients unless a NoGradGuard is
// held.
[[nodiscard]] absl::StatusOr<std::vector<ExampleColumns>> ColumnsOfExamples(
    const TrainingObjective& objective, const TrainingModels& models,
    absl::Span<const v1::TrainingPair> pairs);

// `values` [examples, SequencesOf(objective), kColumns] as the columns of the losses; gradients
// flow to it.
LossBatch LossBatchOf(const TrainingObjective& objective, const at::Tensor& values);

}  // namespace attune

#endif  // ATTUNE_WORKER_EXAMPLE_COLUMNS_H_
