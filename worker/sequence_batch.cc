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
    packed.tokens.insert(packed.tokens.end(), sequence.prompt.begin(), sequence.prompt.end());
    for (uint32_t id : sequence.response) {
      packed.target_rows.push_back(static_cast<int64_t>(packed.tokens.size()) - 1);
      packed.targets.push_back(id);
      packed.tokens.push_back(id);
      owners.push_back(static_cast<int64_t>(s));
    }
    packed.tokens.pop_back();
    packed.offsets.push_back(static_cast<int64_t>(packed.tokens.size()));
    batch.token_count += static_cast<int64_t>(sequence.prompt.size() + sequence.response.size());
  }
  batch.tokens = {at::tensor(owners, at::TensorOptions().dtype(at::kLong)),
                  static_cast<int64_t>(sequences.size())};
  return batch;
}

}  // namespace attune
