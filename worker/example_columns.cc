#include "worker/example_columns.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/status_macros.h"
#include "worker/sequence_batch.h"

namespace attune {
namespace {

using Ids = absl::Span<const uint32_t>;

Ids IdsOf(const google::protobuf::RepeatedField<uint32_t>& ids) {
  return {ids.data(), static_cast<size_t>(ids.size())};
}

at::TensorOptions Doubles() { return at::TensorOptions().dtype(at::kDouble); }

// Chosen, rejected, others.
std::vector<const v1::TrainingResponse*> ResponsesOf(const v1::TrainingPair& pair) {
  std::vector<const v1::TrainingResponse*> responses = {&pair.chosen(), &pair.rejected()};
  for (const v1::TrainingResponse& other : pair.others()) responses.push_back(&other);
  return responses;
}

std::string NameOf(const v1::TrainingPair& pair, const char* what) {
  return absl::StrCat("pair ", pair.index(), ", ", what, " response");
}

// The responses of an unpaired example have prompts of their own.
Ids RejectedPrompt(const v1::TrainingPair& pair) {
  return IdsOf(pair.rejected_prompt_token_ids().empty() ? pair.prompt_token_ids()
                                                        : pair.rejected_prompt_token_ids());
}

// All but the mismatched ones.
std::vector<Sequence> TrainedSequences(const TrainingObjective& objective,
                                       const v1::TrainingPair& pair) {
  const Ids prompt = IdsOf(pair.prompt_token_ids());
  std::vector<Sequence> sequences = {
      {NameOf(pair, "chosen"), prompt, IdsOf(pair.chosen().token_ids())},
      {NameOf(pair, "rejected"), RejectedPrompt(pair), IdsOf(pair.rejected().token_ids())}};
  for (const v1::TrainingResponse& other : pair.others()) {
    sequences.push_back({NameOf(pair, "another"), prompt, IdsOf(other.token_ids())});
  }
  const Ids corrupted = IdsOf(pair.corrupted_prompt_token_ids());
  for (int64_t k = 0; k < CorruptedSequences(objective.needs); ++k) {
    sequences.push_back({absl::StrCat(sequences[k].name, " after the corrupted prompt"), corrupted,
                         sequences[k].response});
  }
  return sequences;
}

// Responses of another example, cut to what the model takes after the prompts of this one: its
// chosen response after that of the chosen one here, and alike the rejected.
std::vector<Sequence> MismatchedSequencesOf(const v1::TrainingPair& pair,
                                            const ModelConfig& config) {
  std::vector<Sequence> sequences;
  for (const v1::TrainingResponse& response : pair.mismatched()) {
    const Ids prompt = sequences.empty() ? IdsOf(pair.prompt_token_ids()) : RejectedPrompt(pair);
    const size_t room = std::max<int64_t>(1, config.max_position_embeddings - prompt.size());
    sequences.push_back({NameOf(pair, "mismatched"), prompt,
                         IdsOf(response.token_ids()).subspan(0, room)});
  }
  return sequences;
}

absl::Status CheckExample(const TrainingObjective& objective, const TrainingModels& models,
                          const v1::TrainingPair& pair) {
  const auto wrong = [&](auto... parts) {
    return absl::InvalidArgumentError(absl::StrCat("pair ", pair.index(), " ", parts...));
  };
  if (pair.others_size() + 2 != objective.responses) {
    return wrong("has ", pair.others_size() + 2, " responses instead of ", objective.responses);
  }
  if (pair.mismatched_size() != MismatchedSequences(objective.needs)) {
    return wrong("has ", pair.mismatched_size(), " mismatched responses instead of ",
                 MismatchedSequences(objective.needs));
  }
  if (CorruptedSequences(objective.needs) > 0 && pair.corrupted_prompt_token_ids().empty()) {
    return wrong("has no corrupted prompt");
  }
  const LossNeeds& needs = objective.needs;
  const bool resident = needs.vocabulary || needs.mismatched || needs.corrupted || needs.views;
  if (resident && models.reference == nullptr) return wrong("needs a reference model");
  if (needs.other_adapter && models.other == nullptr) return wrong("needs a second adapter");
  return absl::OkStatus();
}

// [targets] float64: what was recorded with the responses; undefined where that is not complete.
at::Tensor RecordedLogps(const v1::TrainingPair& pair, const SequenceBatch& batch) {
  std::vector<double> recorded;
  for (const v1::TrainingResponse* response : ResponsesOf(pair)) {
    const auto& logps = response->reference_logps();
    if (logps.size() == response->token_ids_size()) {
      recorded.insert(recorded.end(), logps.begin(), logps.end());
    }
  }
  if (recorded.size() != batch.packed.targets.size()) return at::Tensor();
  return at::tensor(recorded, Doubles());
}

// Of tokens in the sums of a pair; undefined: 1.
at::Tensor TokenWeights(const TrainingObjective& objective, const v1::TrainingPair& pair,
                        const TokenSequences& tokens) {
  if (objective.ld_alpha == 1 && !objective.sampo) return at::Tensor();
  const at::Tensor shared = SequenceLengths(tokens).min().expand({tokens.count});
  if (!objective.sampo) return LdDpoTokenWeights(tokens, shared, objective.ld_alpha);
  const uint64_t key = uint64_t{pair.index()} * 2;
  return SampoTokenWeights(tokens, shared, objective.sampo_seed, {key, key + 1});
}

void FillRow(const v1::TrainingResponse& response, double* row) {
  row[kScoreColumn] = response.score();
  row[kWinRateColumn] = response.win_rate();
  row[kMarginColumn] = response.margin();
}

// [sequences, kColumns - kScoreColumn]: what no model has to say.
at::Tensor GivenColumns(const v1::TrainingPair& pair, int64_t sequences) {
  at::Tensor given = at::zeros({sequences, kColumns}, Doubles());
  double* row = given.data_ptr<double>();
  for (const v1::TrainingResponse* response : ResponsesOf(pair)) {
    FillRow(*response, row);
    row += kColumns;
  }
  given[0][kTargetColumn] = pair.target();
  return given.narrow(1, kScoreColumn, kColumns - kScoreColumn);
}

// [sequences, kScoreColumn] of a batch.
at::Tensor ModelColumns(const ResponseColumns& columns, const at::Tensor& anchor_kl,
                        const at::Tensor& wpo_log_weights) {
  const at::Tensor zeros = at::zeros_like(columns.lengths);
  const auto or_zeros = [&](const at::Tensor& column) { return column.defined() ? column : zeros; };
  return at::stack({or_zeros(columns.logps), or_zeros(columns.sequence_kl),
                    or_zeros(columns.self_weighted_logps), or_zeros(anchor_kl),
                    or_zeros(columns.rewards), or_zeros(columns.reference_logps),
                    or_zeros(columns.other_logps), columns.lengths, or_zeros(wpo_log_weights)},
                   1);
}

// `sums` are the log-probabilities of all sequences.
void FillChanges(const v1::TrainingPair& pair, const at::Tensor& sums, ExampleColumns& example) {
  std::vector<double> changes;
  for (const v1::TrainingResponse* response : ResponsesOf(pair)) {
    const double logp = sums[static_cast<int64_t>(changes.size())].item<double>();
    changes.push_back(logp - response->rollout_logp());
  }
  example.chosen_change = changes[0];
  example.rejected_change = changes[1];
  example.largest_change = 0;
  for (double change : changes) {
    example.largest_change = std::max(example.largest_change, std::abs(change));
  }
}

// [2, kColumns], without gradients.
absl::StatusOr<at::Tensor> MismatchedColumns(const TrainingModels& models,
                                             const v1::TrainingPair& pair) {
  ATTUNE_ASSIGN_OR_RETURN(
      const SequenceBatch batch,
      MakeSequenceBatch(MismatchedSequencesOf(pair, *models.config), *models.config));
  const at::NoGradGuard guard;
  const TokenLogps logps = {models.policy->TokenLogProbs(batch.packed).to(at::kDouble),
                            models.reference->TokenLogProbs(batch.packed).to(at::kDouble),
                            at::Tensor()};
  const at::Tensor columns = ModelColumns(ColumnsOf(logps, batch.tokens), {}, {});
  return at::cat({columns, at::zeros({batch.tokens.count, kColumns - kScoreColumn}, Doubles())}, 1);
}

// What the models say of the targets of a pass; undefined where nobody asks.
struct PassColumns {
  TargetColumns policy;
  at::Tensor reference;  // [targets] float64, without gradients
  at::Tensor other;      // ... of TrainingModels.other

  // Those of one example.
  PassColumns Of(int64_t first, int64_t count) const {
    const auto part = [&](const at::Tensor& all) {
      return all.defined() ? all.narrow(0, first, count) : all;
    };
    return {{part(policy.logps), part(policy.reference_kl), part(policy.log_sum_squares)},
            part(reference),
            part(other)};
  }
};

PassColumns RunPass(const TrainingObjective& objective, const TrainingModels& models,
                    bool asks_reference, const PackedSequences& packed) {
  const LossNeeds& needs = objective.needs;
  PassColumns columns;
  const auto logps_of = [&](const DifferentiableModel& model) {
    const at::NoGradGuard guard;
    return model.TokenLogProbs(packed).to(at::kDouble);
  };
  if (asks_reference) columns.reference = logps_of(*models.reference);
  if (needs.other_adapter) columns.other = logps_of(*models.other);
  columns.policy = models.policy->ScoreTargets(
      packed, {.reference = needs.vocabulary ? models.reference : nullptr,
               .log_sum_squares = objective.weighting});
  return columns;
}

// `pass` are the columns of this example.
absl::StatusOr<ExampleColumns> ColumnsOfExample(const TrainingObjective& objective,
                                                const TrainingModels& models,
                                                const v1::TrainingPair& pair,
                                                const SequenceBatch& batch,
                                                const PassColumns& pass) {
  const LossNeeds& needs = objective.needs;
  const at::Tensor recorded = RecordedLogps(pair, batch);
  const TokenLogps logps = {pass.policy.logps, recorded.defined() ? recorded : pass.reference,
                            pass.policy.reference_kl};
  const at::Tensor weights = TokenWeights(objective, pair, batch.tokens);
  ResponseColumns columns = ColumnsOf(logps, batch.tokens, weights);
  if (needs.other_adapter) {
    columns.other_logps = ColumnsOf({pass.other, {}, {}}, batch.tokens, weights).logps;
  }
  at::Tensor anchor_kl, wpo;
  if (needs.groups && logps.reference.defined()) {
    anchor_kl = AnchorKl(logps.policy.to(at::kDouble), logps.reference, batch.tokens);
  }
  if (objective.weighting) {
    wpo = WpoLogWeights(logps.policy, pass.policy.log_sum_squares, batch.tokens);
  }
  ExampleColumns result;
  result.values = at::cat({ModelColumns(columns, anchor_kl, wpo),
                           GivenColumns(pair, batch.tokens.count)}, 1);
  result.tokens = static_cast<double>(batch.token_count);
  FillChanges(pair, SumBySequence(logps.policy.detach(), batch.tokens), result);
  if (needs.mismatched) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor mismatched, MismatchedColumns(models, pair));
    result.values = at::cat({result.values, mismatched});
  }
  return result;
}

// Of a reward model; `scores` [sequences] of this example.
ExampleColumns RewardColumns(const v1::TrainingPair& pair, const SequenceBatch& batch,
                             const at::Tensor& scores) {
  ResponseColumns columns;
  columns.lengths = SequenceLengths(batch.tokens);
  columns.rewards = scores.to(at::kDouble);
  ExampleColumns result;
  result.values =
      at::cat({ModelColumns(columns, {}, {}), GivenColumns(pair, batch.tokens.count)}, 1);
  result.tokens = static_cast<double>(batch.token_count);
  return result;
}

// Of all its sequences; what is only corrupted or mismatched besides does not count.
int64_t TokensOf(const v1::TrainingPair& pair) {
  int64_t tokens = pair.prompt_token_ids_size() + pair.rejected_prompt_token_ids_size();
  for (const v1::TrainingResponse* response : ResponsesOf(pair)) {
    tokens += response->token_ids_size();
  }
  return tokens;
}

}  // namespace

std::vector<absl::Span<const v1::TrainingPair>> PassesOf(absl::Span<const v1::TrainingPair> pairs,
                                                         size_t examples) {
  std::vector<absl::Span<const v1::TrainingPair>> passes;
  size_t begin = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const int64_t more = TokensOf(pairs[i]);
    if (i > begin && (i - begin == examples || tokens + more > kPassTokens)) {
      passes.push_back(pairs.subspan(begin, i - begin));
      begin = i;
      tokens = 0;
    }
    tokens += more;
  }
  if (begin < pairs.size()) passes.push_back(pairs.subspan(begin));
  return passes;
}

absl::StatusOr<std::vector<ExampleColumns>> ColumnsOfExamples(
    const TrainingObjective& objective, const TrainingModels& models,
    absl::Span<const v1::TrainingPair> pairs) {
  std::vector<SequenceBatch> batches;
  bool asks_reference = false;
  for (const v1::TrainingPair& pair : pairs) {
    ATTUNE_RETURN_IF_ERROR(CheckExample(objective, models, pair));
    const std::vector<Sequence> sequences = TrainedSequences(objective, pair);
    ATTUNE_ASSIGN_OR_RETURN(batches.emplace_back(),
                            objective.needs.rewards ? MakeScoredBatch(sequences, *models.config)
                                                    : MakeSequenceBatch(sequences, *models.config));
    asks_reference |= models.reference != nullptr && !objective.needs.rewards &&
                      !RecordedLogps(pair, batches.back()).defined();
  }
  const PackedSequences packed = PackedTogether(batches);
  const bool rewards = objective.needs.rewards;
  const at::Tensor scores = rewards ? models.policy->Scores(packed).select(1, 0) : at::Tensor();
  const PassColumns pass =
      rewards ? PassColumns() : RunPass(objective, models, asks_reference, packed);
  std::vector<ExampleColumns> columns;
  for (size_t e = 0; e < pairs.size(); ++e) {
    const int64_t first = packed.example_targets[e];
    const int64_t count = packed.example_targets[e + 1] - first;
    if (rewards) {
      columns.push_back(RewardColumns(pairs[e], batches[e], scores.narrow(0, first, count)));
      continue;
    }
    ATTUNE_ASSIGN_OR_RETURN(
        columns.emplace_back(),
        ColumnsOfExample(objective, models, pairs[e], batches[e], pass.Of(first, count)));
  }
  return columns;
}

LossBatch LossBatchOf(const TrainingObjective& objective, const at::Tensor& values) {
  const auto column = [&](int64_t sequence, Column c) {
    return values.select(1, sequence).select(1, c);
  };
  const auto responses = [&](int64_t sequence) {
    return ResponseColumns{column(sequence, kLogpColumn), column(sequence, kReferenceLogpColumn),
                           column(sequence, kLengthColumn), column(sequence, kSequenceKlColumn),
                           column(sequence, kSelfWeightedColumn), column(sequence, kRewardColumn),
                           column(sequence, kOtherLogpColumn)};
  };
  LossBatch batch;
  if (objective.needs.groups) {
    const at::Tensor group = values.narrow(1, 0, objective.responses);
    const auto of_group = [&](Column c) { return group.select(2, c); };
    // Chosen is the first of the list, rejected the last, the others are in their order between.
    at::Tensor ranks = at::arange(objective.responses, Doubles());
    ranks[0] = 1;
    ranks[1] = static_cast<double>(objective.responses);
    batch.groups = {.logps = of_group(kLogpColumn),
                    .reference_logps = of_group(kReferenceLogpColumn),
                    .lengths = of_group(kLengthColumn),
                    .scores = of_group(kScoreColumn),
                    .relevance = of_group(kWinRateColumn),
                    .ranks = ranks.expand({values.size(0), objective.responses}),
                    .anchor_kl = of_group(kAnchorKlColumn)};
    return batch;
  }
  batch.chosen = responses(0);
  batch.rejected = responses(1);
  batch.target = column(0, kTargetColumn);
  batch.win_probability = batch.target;
  batch.chosen_win_rate = column(0, kWinRateColumn);
  batch.rejected_win_rate = column(1, kWinRateColumn);
  batch.chosen_margin = column(0, kMarginColumn);
  batch.rejected_margin = column(1, kMarginColumn);
  if (objective.score_margin) {
    batch.score_margin = column(0, kScoreColumn) - column(1, kScoreColumn);
  }
  if (objective.weighting) {
    batch.weights = WpoWeights(column(0, kWpoLogWeightColumn), column(1, kWpoLogWeightColumn),
                               /*clamp=*/false);
  }
  if (objective.needs.gold) batch.gold = responses(2);
  for (int64_t k = 0; k < CorruptedSequences(objective.needs); ++k) {
    batch.views.push_back(responses(objective.responses + k));
  }
  if (objective.needs.corrupted) batch.corrupted = batch.views[0];
  if (!objective.needs.views) batch.views.clear();
  if (objective.needs.mismatched) {
    const int64_t first = SequencesOf(objective) - MismatchedSequences(objective.needs);
    const ResponseColumns a = responses(first), b = responses(first + 1);
    batch.mismatched.logps = at::cat({a.logps, b.logps});
    batch.mismatched.reference_logps = at::cat({a.reference_logps, b.reference_logps});
  }
  return batch;
}

}  // namespace attune
