#include "worker/sequence_batch.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune {
namespace {

absl::Status CheckSequence(const Sequence& sequence, const ModelConfig& config) {
  if (sequence.prompt.empty() || sequence.response.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(sequence.name, ": ", sequence.prompt.size(), " prompt tokens and ",
                     sequence.response.size(), " response tokens; both must have at least one"));
  }
  const size_t length = sequence.prompt.size() + sequence.response.size();
  if (length > static_cast<size_t>(config.max_position_embeddings)) {
    return absl::InvalidArgumentError(absl::StrCat(sequence.name, " makes ", length,
                                                   " tokens with its prompt; the model takes ",
                                                   config.max_position_embeddings));
  }
  for (const absl::Span<const uint32_t> ids : {sequence.prompt, sequence.response}) {
    for (uint32_t id : ids) {
      if (id < config.vocab_size) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          sequence.name, ": token ", id, " is outside the vocabulary of ", config.vocab_size));
    }
  }
  return absl::OkStatus();
}

// Appends the tokens of both, and whose each token of the response is.
void Append(const Sequence& sequence, int64_t index, SequenceBatch* batch,
            std::vector<int64_t>* owners) {
  std::vector<int64_t>& tokens = batch->packed.tokens;
  tokens.insert(tokens.end(), sequence.prompt.begin(), sequence.prompt.end());
  tokens.insert(tokens.end(), sequence.response.begin(), sequence.response.end());
  owners->insert(owners->end(), sequence.response.size(), index);
  batch->token_count += static_cast<int64_t>(sequence.prompt.size() + sequence.response.size());
}

TokenSequences Owned(const std::vector<int64_t>& owners, size_t sequences) {
  return {at::tensor(owners, at::TensorOptions().dtype(at::kLong)),
          static_cast<int64_t>(sequences)};
}

}  // namespace

absl::StatusOr<SequenceBatch> MakeSequenceBatch(absl::Span<const Sequence> sequences,
                                                const ModelConfig& config) {
  SequenceBatch batch = {.token_count = 0};
  PackedSequences& packed = batch.packed;
  packed.offsets.push_back(0);
  std::vector<int64_t> owners;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& sequence = sequences[s];
    ATTUNE_RETURN_IF_ERROR(CheckSequence(sequence, config));
    Append(sequence, static_cast<int64_t>(s), &batch, &owners);
    const auto end = static_cast<int64_t>(packed.tokens.size());
    for (int64_t at = end - static_cast<int64_t>(sequence.response.size()); at < end; ++at) {
      packed.target_rows.push_back(at - 1);
      packed.targets.push_back(packed.tokens[at]);
    }
    packed.tokens.pop_back();
    packed.offsets.push_back(end - 1);
  }
  batch.tokens = Owned(owners, sequences.size());
  return batch;
}

absl::StatusOr<SequenceBatch> MakeScoredBatch(absl::Span<const Sequence> sequences,
                                              const ModelConfig& config) {
  SequenceBatch batch = {.token_count = 0};
  PackedSequences& packed = batch.packed;
  packed.offsets.push_back(0);
  std::vector<int64_t> owners;
  for (size_t s = 0; s < sequences.size(); ++s) {
    ATTUNE_RETURN_IF_ERROR(CheckSequence(sequences[s], config));
    const int64_t begin = packed.offsets.back();
    Append(sequences[s], static_cast<int64_t>(s), &batch, &owners);
    std::vector<int64_t>& tokens = packed.tokens;
    while (static_cast<int64_t>(tokens.size()) > begin + 1 &&
           tokens.back() == config.pad_token_id) {
      tokens.pop_back();
    }
    packed.offsets.push_back(static_cast<int64_t>(tokens.size()));
    packed.target_rows.push_back(packed.offsets.back() - 1);
  }
  batch.tokens = Owned(owners, sequences.size());
  return batch;
}

}  // namespace attune
