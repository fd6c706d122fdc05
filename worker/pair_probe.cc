#include "worker/pair_probe.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "worker/agreement.h"
#include "worker/guarded.h"

namespace attune {
namespace {

// Of a pair: what speaks for the chosen response and what for the rejected one.
constexpr size_t kNumbers = 2;

uint32_t OrderOf(const v1::TrainingPair& pair, uint32_t batch_size) {
  return pair.update() * batch_size + pair.position();
}

// The numbers of this rank's pairs in their places of `values`.
absl::Status Fill(const TrainingModels& models, bool rewards,
                  absl::Span<const v1::TrainingPair> pairs, uint32_t batch_size,
                  std::vector<double>& values) {
  const at::NoGradGuard guard;
  const TrainingObjective plain = {
      .objective = {}, .needs = {.rewards = rewards}, .ld_alpha = 1, .responses = 2};
  for (const absl::Span<const v1::TrainingPair> pass : PassesOf(pairs)) {
    std::vector<ExampleColumns> columns;
    ATTUNE_RETURN_IF_ERROR(Guarded(pass, [&]() -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(columns, ColumnsOfExamples(plain, models, pass));
      return absl::OkStatus();
    }));
    for (size_t e = 0; e < pass.size(); ++e) {
      const size_t place = kNumbers * OrderOf(pass[e], batch_size);
      if (place >= values.size()) {
        return absl::InternalError(absl::StrCat("pair ", pass[e].index(), " is number ",
                                                pass[e].position(), " of update ", pass[e].update(),
                                                " in a round of fewer pairs"));
      }
      const auto reward = [&](int64_t sequence) {
        return columns[e].values[sequence][kRewardColumn].item<double>();
      };
      values[place] = rewards ? reward(0) : columns[e].chosen_change;
      values[place + 1] = rewards ? reward(1) : columns[e].rejected_change;
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<v1::TrainingPair> PairsToProbe(absl::Span<const v1::TrainingPair> pairs,
                                           uint32_t batch_size) {
  std::vector<v1::TrainingPair> first;
  for (const v1::TrainingPair& pair : pairs) {
    if (OrderOf(pair, batch_size) >= kProbePairs) break;
    first.push_back(pair);
    first.back().clear_others();
    first.back().clear_mismatched();
  }
  return first;
}

absl::StatusOr<v1::PairProbe> ProbePairs(const TrainingModels& models, bool rewards,
                                         absl::Span<const v1::TrainingPair> pairs,
                                         uint32_t batch_size, uint32_t count, Collective& ranks,
                                         bool stop) {
  ATTUNE_CHECK(count > 0 && count <= kProbePairs);
  std::vector<double> values(kNumbers * count);
  const absl::Status mine = Fill(models, rewards, pairs, batch_size, values);
  ATTUNE_RETURN_IF_ERROR(SumIfAllWell(ranks, mine, stop, absl::MakeSpan(values)));
  double chosen = 0, rejected = 0, correct = 0;
  for (size_t i = 0; i < values.size(); i += kNumbers) {
    chosen += values[i];
    rejected += values[i + 1];
    correct += values[i] > values[i + 1] ? 1 : 0;
  }
  v1::PairProbe probe;
  probe.set_pairs(count);
  probe.set_accuracy(correct / count);
  if (rewards) return probe;
  probe.set_chosen_change(chosen / count);
  probe.set_rejected_change(rejected / count);
  return probe;
}

}  // namespace attune
