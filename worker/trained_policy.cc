#include "worker/trained_policy.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/status_macros.h"
#include "model/layout.h"

namespace attune {
namespace {

// With zeros behind, so that all ranks have slices of one length.
std::vector<float> Padded(std::vector<float> values, int ranks) {
  values.resize(SliceSize(static_cast<int64_t>(values.size()), ranks) * ranks);
  return values;
}

}  // namespace

TrainedPolicy::TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                             const Collective& ranks, const LoraLayout* lora,
                             std::vector<float> weights)
    : lora_(lora),
      weight_count_(weights.size()),
      weights_(Padded(std::move(weights), ranks.size())),
      gradients_(weights_.size()),
      model_(config, absl::MakeSpan(weights_), absl::MakeSpan(gradients_), options.precision,
             options.gradient_checkpointing),
      optimizer_(lora == nullptr ? WeightLayout(config) : lora->tensors, options.optimizer, ranks) {
}

TrainedPolicy::TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                             const Collective& ranks, std::vector<float> weights)
    : TrainedPolicy(config, options, ranks, nullptr, std::move(weights)) {}

TrainedPolicy::TrainedPolicy(const ModelConfig& config, const TrainedPolicyOptions& options,
                             const Collective& ranks, const LoraLayout& lora,
                             absl::Span<const float> base, const std::vector<float>& adapter)
    : TrainedPolicy(config, options, ranks, &lora, {base.begin(), base.end()}) {
  base_ = base;
  adapter_ = Padded(adapter, ranks.size());
  Merge();
}

absl::StatusOr<double> TrainedPolicy::Step(Collective& ranks, double learning_rate) {
  if (lora_ == nullptr) {
    return optimizer_.Step(ranks, learning_rate, absl::MakeSpan(weights_),
                           absl::MakeSpan(gradients_));
  }
  std::vector<double> adapter_gradients = TakeAdapterGradients();
  ATTUNE_ASSIGN_OR_RETURN(const double norm,
                          optimizer_.Step(ranks, learning_rate, absl::MakeSpan(adapter_),
                                          absl::MakeSpan(adapter_gradients)));
  Merge();
  return norm;
}

std::vector<float> TrainedPolicy::Adapter() const {
  ATTUNE_CHECK(lora_ != nullptr);
  return {adapter_.begin(), adapter_.begin() + WeightCount(lora_->tensors)};
}

void TrainedPolicy::SetAdapter(const std::vector<float>& adapter) {
  ATTUNE_CHECK(lora_ != nullptr &&
               static_cast<int64_t>(adapter.size()) == WeightCount(lora_->tensors));
  std::copy(adapter.begin(), adapter.end(), adapter_.begin());
  Merge();
}

std::vector<double> TrainedPolicy::TakeAdapterGradients() {
  ATTUNE_CHECK(lora_ != nullptr);
  std::vector<double> adapter_gradients(adapter_.size());
  AddAdapterGradients(*lora_, adapter_, gradients_, absl::MakeSpan(adapter_gradients));
  std::fill(gradients_.begin(), gradients_.end(), 0.0);
  return adapter_gradients;
}

std::vector<float> TrainedPolicy::TakeWeights() {
  weights_.resize(weight_count_);
  return std::move(weights_);
}

void TrainedPolicy::Merge() { MergeAdapter(*lora_, base_, adapter_, absl::MakeSpan(weights_)); }

}  // namespace attune
