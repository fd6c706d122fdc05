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

// Appends a segment.
void AddSegment(absl::Span<const uint32_t> tokens, int64_t prefix, PackedSequences* packed) {
  packed->tokens.insert(packed->tokens.end(), tokens.begin(), tokens.end());
  packed->offsets.push_back(static_cast<int64_t>(packed->tokens.size()));
  packed->prefixes.push_back(prefix);
}

void Close(SequenceBatch* batch) {
  PackedSequences& packed = batch->packed;
  packed.example_rows = {0, static_cast<int64_t>(packed.tokens.size())};
  packed.example_targets = {0, static_cast<int64_t>(packed.target_rows.size())};
}

void Append(const std::vector<int64_t>& values, int64_t shift, std::vector<int64_t>* to) {
  for (int64_t value : values) to->push_back(value + shift);
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
  int64_t prompt = -1;  // segment of the prompt of the sequence before
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& sequence = sequences[s];
    ATTUNE_RETURN_IF_ERROR(CheckSequence(sequence, config));
    if (s == 0 || sequence.prompt != sequences[s - 1].prompt) {
      prompt = static_cast<int64_t>(packed.prefixes.size());
      AddSegment(sequence.prompt, -1, &packed);
    }
    const int64_t begin = packed.offsets.back();
    AddSegment(sequence.response.first(sequence.response.size() - 1), prompt, &packed);
    for (size_t i = 0; i < sequence.response.size(); ++i) {
      packed.target_rows.push_back(i == 0 ? packed.offsets[prompt + 1] - 1
                                          : begin + static_cast<int64_t>(i) - 1);
      packed.targets.push_back(sequence.response[i]);
      owners.push_back(static_cast<int64_t>(s));
    }
    batch.token_count += static_cast<int64_t>(sequence.prompt.size() + sequence.response.size());
  }
  Close(&batch);
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
    const Sequence& sequence = sequences[s];
    ATTUNE_RETURN_IF_ERROR(CheckSequence(sequence, config));
    std::vector<uint32_t> tokens(sequence.prompt.begin(), sequence.prompt.end());
    tokens.insert(tokens.end(), sequence.response.begin(), sequence.response.end());
    while (tokens.size() > 1 && tokens.back() == config.pad_token_id) tokens.pop_back();
    AddSegment(tokens, -1, &packed);
    packed.target_rows.push_back(packed.offsets.back() - 1);
    owners.insert(owners.end(), sequence.response.size(), static_cast<int64_t>(s));
    batch.token_count += static_cast<int64_t>(sequence.prompt.size() + sequence.response.size());
  }
  Close(&batch);
  batch.tokens = Owned(owners, sequences.size());
  return batch;
}

PackedSequences PackedTogether(absl::Span<const SequenceBatch> examples) {
  PackedSequences all = {.offsets = {0}, .example_rows = {0}, .example_targets = {0}};
  for (const SequenceBatch& example : examples) {
    const PackedSequences& one = example.packed;
    const auto rows = static_cast<int64_t>(all.tokens.size());
    const auto segments = static_cast<int64_t>(all.prefixes.size());
    for (size_t s = 0; s < one.prefixes.size(); ++s) {
      all.offsets.push_back(rows + one.offsets[s + 1]);
      all.prefixes.push_back(one.prefixes[s] < 0 ? -1 : segments + one.prefixes[s]);
    }
    Append(one.tokens, 0, &all.tokens);
    Append(one.target_rows, rows, &all.target_rows);
    Append(one.targets, 0, &all.targets);
    all.example_rows.push_back(static_cast<int64_t>(all.tokens.size()));
    all.example_targets.push_back(static_cast<int64_t>(all.target_rows.size()));
  }
  return all;
}

}  // namespace attune
