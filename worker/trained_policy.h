// A policy in training: its weights, what the examples of an update add up to, and the optimiser.
// Either every weight is trained, or an adapter of them.
#ifndef ATTUNE_WORKER_TRAINED_POLICY_H_
#define ATTUNE_WORKER_TRAINED_POLICY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "comm/collective.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "worker/differentiable_model.h"
#include "worker/lora.h"
#include "worker/sharded_optimizer.h"

namespace attune {

struct TrainedPolicyOptions {
  OptimizerOptions optimizer;
  TensorType precision;
  bool gradient_checkpointing = false;  // as of DifferentiableModel
};

// Equal on all ranks but for the gradients. Not thread-safe, and stays where it is.
class TrainedPolicy {
 public:
  // Trains all of `weights`, in the order of WeightLayout.
  TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                const Collective& ranks, std::vector<float> weights);
  // Trains `adapter` of the weights `base`, which is not changed. `lora` and `base` outlive the
  // policy.
  TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                const Collective& ranks, const LoraLayout& lora, absl::Span<const float> base,
                const std::vector<float>& adapter);
  TrainedPolicy(const TrainedPolicy&) = delete;
  TrainedPolicy& operator=(const TrainedPolicy&) = delete;

  // Computes with the weights as they are; backward passes add up this rank's part of the gradient
  // of an update.
  const DifferentiableModel& model() const { return model_; }

  // One update with the gradients of all ranks, which are zero afterwards; returns their norm as
  // ShardedOptimizer::Step: that of the adapter where one is trained.
  [[nodiscard]] absl::StatusOr<double> Step(Collective& ranks, double learning_rate);

  // Of a policy with an adapter:
  std::vector<float> Adapter() const;
  void SetAdapter(const std::vector<float>& adapter);
  // This rank's part of the gradient of the adapter, padded; it is zero afterwards.
  std::vector<double> TakeAdapterGradients();

  // The weights, merged with the adapter if there is one. The policy is of no use afterwards.
  std::vector<float> TakeWeights();

 private:
  TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                const Collective& ranks, const LoraLayout* lora, std::vector<float> weights);
  void Merge();

  const LoraLayout* const lora_;  // null: every weight is trained
  const size_t weight_count_;     // without padding
  std::vector<float> weights_;
  std::vector<double> gradients_;
  absl::Span<const float> base_;
  std::vector<float> adapter_;  // padded
  DifferentiableModel model_;
  ShardedOptimizer optimizer_;
};

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAINED_POLICY_H_
