#include "worker/pair_batch.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune {
namespace {

using TokenIds = google::protobuf::RepeatedField<uint32_t>;

absl::Status CheckSequence(const v1::TrainingPair& pair, absl::string_view side,
                           const TokenIds& response, const ModelConfig& config) {
  const TokenIds& prompt = pair.prompt_token_ids();
  const std::string name = absl::StrCat("pair ", pair.index(), ", ", side, " response");
  if (prompt.empty() || response.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", prompt.size(), " prompt tokens and ",
                                                   response.size(), " response tokens; both must ",
                                                   "have at least one"));
  }
  const int64_t length = prompt.size() + response.size();
  if (length > config.max_position_embeddings) {
    return absl::InvalidArgumentError(absl::StrCat(name, " makes ", length,
                                                   " tokens with its prompt; the model takes ",
                                                   config.max_position_embeddings));
  }
  for (const TokenIds* ids : {&prompt, &response}) {
    for (uint32_t id : *ids) {
      if (id < config.vocab_size) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": token ", id, " is outside the vocabulary of ", config.vocab_size));
    }
  }
  return absl::OkStatus();
}

void AppendSequence(const TokenIds& prompt, const TokenIds& response, PairBatch& batch) {
  PackedSequences& packed = batch.sequences;
  const int64_t sequence = static_cast<int64_t>(packed.offsets.size()) - 1;
  packed.tokens.insert(packed.tokens.end(), prompt.begin(), prompt.end());
  for (uint32_t id : response) {
    packed.target_rows.push_back(static_cast<int64_t>(packed.tokens.size()) - 1);
    packed.targets.push_back(id);
    packed.tokens.push_back(id);
    batch.target_sequence.push_back(sequence);
  }
  packed.tokens.pop_back();
  packed.offsets.push_back(static_cast<int64_t>(packed.tokens.size()));
  batch.tokens += prompt.size() + response.size();
}

at::Tensor DoubleTensor(const std::vector<double>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kDouble));
}

}  // namespace

absl::StatusOr<PairBatch> MakePairBatch(absl::Span<const v1::TrainingPair> pairs,
                                        const ModelConfig& config) {
  PairBatch batch = {.pairs = static_cast<int64_t>(pairs.size()), .tokens = 0};
  batch.sequences.offsets.push_back(0);
  std::vector<double> chosen_reference, rejected_reference, target, rejected_rollout;
  for (const v1::TrainingPair& pair : pairs) {
    ATTUNE_RETURN_IF_ERROR(CheckSequence(pair, "chosen", pair.chosen_token_ids(), config));
    ATTUNE_RETURN_IF_ERROR(CheckSequence(pair, "rejected", pair.rejected_token_ids(), config));
    AppendSequence(pair.prompt_token_ids(), pair.chosen_token_ids(), batch);
    chosen_reference.push_back(pair.chosen_reference_logp());
    rejected_reference.push_back(pair.rejected_reference_logp());
    target.push_back(pair.target());
    batch.rollout_logps.push_back(pair.chosen_rollout_logp());
    rejected_rollout.push_back(pair.rejected_rollout_logp());
  }
  for (const v1::TrainingPair& pair : pairs) {
    AppendSequence(pair.prompt_token_ids(), pair.rejected_token_ids(), batch);
  }
  batch.rollout_logps.insert(batch.rollout_logps.end(), rejected_rollout.begin(),
                             rejected_rollout.end());
  batch.chosen_reference = DoubleTensor(chosen_reference);
  batch.rejected_reference = DoubleTensor(rejected_reference);
  batch.target = DoubleTensor(target);
  return batch;
}

at::Tensor SequenceSums(const PairBatch& batch, const at::Tensor& target_values) {
  const at::Tensor sequence =
      at::tensor(batch.target_sequence, at::TensorOptions().dtype(at::kLong));
  return at::zeros({2 * batch.pairs}, at::TensorOptions().dtype(at::kDouble))
      .index_add(0, sequence, target_values.to(at::kDouble));
}

}  // namespace attune
