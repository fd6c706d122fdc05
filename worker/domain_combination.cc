#include "worker/domain_combination.h"

#include <cmath>
#include <cstdint>
#include <utility>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "worker/agreement.h"
#include "worker/objectives/combination.h"
#include "worker/train_step.h"

namespace attune {
namespace {

// Each is a pass over all pairs; more change the weights by less than a few hundredths.
constexpr int64_t kSteps = 20;

// One rank's part of the search.
class Search {
 public:
  Search(TrainingObjective objective, const Domains& domains, const TrainingModels& models,
         TrainedPolicy& policy, Collective& ranks, absl::FunctionRef<bool()> stop)
      : objective_(std::move(objective)),
        domains_(domains),
        models_(models),
        policy_(policy),
        ranks_(ranks),
        stop_(stop) {
    size_t number = 0;
    for (const LearnedDomain& domain : domains) {
      for (const v1::TrainingPair& pair : domain.pairs) {
        if (number++ % ranks.size() == static_cast<size_t>(ranks.rank())) mine_.push_back(pair);
      }
    }
  }

  // A function of value and slope as the loss has them at `weights`. After a failure, of none.
  at::Tensor LossAt(const at::Tensor& weights) {
    std::vector<double> sums(1 + domains_.size());  // the loss, and its slopes by the weights
    if (status_.ok()) status_ = Evaluate(weights.detach(), absl::MakeSpan(sums));
    if (!status_.ok()) return weights.sum();
    const at::Tensor slopes =
        at::tensor(std::vector<double>(sums.begin() + 1, sums.end()), at::kDouble);
    return sums[0] + (slopes * (weights - weights.detach())).sum();
  }

  const absl::Status& status() const { return status_; }

 private:
  absl::Status Evaluate(const at::Tensor& weights, absl::Span<double> sums) {
    const double* const values = weights.data_ptr<double>();
    policy_.SetAdapter(CombinedAdapter(domains_, {values, values + weights.numel()}));
    const absl::Status mine = EvaluateMine(sums);
    ATTUNE_RETURN_IF_ERROR(SumIfAllWell(ranks_, mine, stop_(), sums));
    for (const double sum : sums) {
      if (std::isfinite(sum)) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "weighing the adapters of ", domains_.size(), " domains: the loss or a slope is ", sum));
    }
    return absl::OkStatus();
  }

  absl::Status EvaluateMine(absl::Span<double> sums) {
    ATTUNE_ASSIGN_OR_RETURN(
        const UpdateSums mine,
        AccumulateGradients(objective_, models_, CoupledLosses(), mine_, /*pass_pairs=*/64,
                            /*update_pairs=*/1));
    const std::vector<double> gradients = policy_.TakeAdapterGradients();
    sums[0] = mine.loss;
    for (size_t k = 0; k < domains_.size(); ++k) {
      const std::vector<float>& adapter = domains_[k].adapter;
      for (size_t i = 0; i < adapter.size(); ++i) sums[1 + k] += gradients[i] * adapter[i];
    }
    return absl::OkStatus();
  }

  const TrainingObjective objective_;
  const Domains& domains_;
  const TrainingModels& models_;
  TrainedPolicy& policy_;
  Collective& ranks_;
  const absl::FunctionRef<bool()> stop_;
  std::vector<v1::TrainingPair> mine_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::vector<double>> WeighDomains(const v1::TrainRoundRequest& request,
                                                 const Domains& domains,
                                                 const TrainingModels& models,
                                                 TrainedPolicy& policy, Collective& ranks,
                                                 absl::FunctionRef<bool()> stop) {
  if (domains.size() == 1) return std::vector<double>{1};
  v1::TrainRoundRequest dpo = request;
  dpo.mutable_objective()->clear_loss_type();
  dpo.mutable_objective()->clear_loss_weights();
  dpo.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
  ATTUNE_ASSIGN_OR_RETURN(TrainingObjective objective, TrainingObjectiveOf(dpo));
  Search search(std::move(objective), domains, models, policy, ranks, stop);
  const at::Tensor weights = SimplexWeights(
      static_cast<int64_t>(domains.size()),
      [&](const at::Tensor& candidate) { return search.LossAt(candidate); }, kSteps);
  ATTUNE_RETURN_IF_ERROR(search.status());
  const double* const values = weights.data_ptr<double>();
  return std::vector<double>(values, values + weights.numel());
}

std::vector<float> CombinedAdapter(const Domains& domains, const std::vector<double>& weights) {
  std::vector<at::Tensor> adapters;
  for (const LearnedDomain& domain : domains) {
    const at::Tensor values =
        at::from_blob(const_cast<float*>(domain.adapter.data()),  // which is not written to
                      static_cast<int64_t>(domain.adapter.size()), at::kFloat);
    adapters.push_back(values.to(at::kDouble));
  }
  const at::Tensor sum =
      CombineAdapters(at::stack(adapters), at::tensor(weights, at::kDouble)).to(at::kFloat);
  return {sum.data_ptr<float>(), sum.data_ptr<float>() + sum.numel()};
}

}  // namespace attune
