// Prompts and completions as the batch of a DifferentiableModel.
#ifndef ATTUNE_TESTS_UNIT_WORKER_SEQUENCES_H_
#define ATTUNE_TESTS_UNIT_WORKER_SEQUENCES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/differentiable_model.h"

namespace attune {

struct Sequence {
  std::vector<int32_t> prompt;
  std::vector<int32_t> completion;

  std::vector<int32_t> ids() const {
    std::vector<int32_t> ids = prompt;
    ids.insert(ids.end(), completion.begin(), completion.end());
    return ids;
  }
};

// The targets are the tokens of the completions, one sequence, and example, after the other.
inline PackedSequences Pack(absl::Span<const Sequence> sequences) {
  PackedSequences packed;
  packed.offsets = packed.example_rows = packed.example_targets = {0};
  for (const Sequence& sequence : sequences) {
    const std::vector<int32_t> ids = sequence.ids();
    const auto begin = static_cast<int64_t>(packed.tokens.size());
    packed.tokens.insert(packed.tokens.end(), ids.begin(), ids.end() - 1);
    packed.offsets.push_back(static_cast<int64_t>(packed.tokens.size()));
    packed.prefixes.push_back(-1);
    packed.example_rows.push_back(packed.offsets.back());
    for (size_t i = sequence.prompt.size(); i < ids.size(); ++i) {
      packed.target_rows.push_back(begin + static_cast<int64_t>(i) - 1);
      packed.targets.push_back(ids[i]);
    }
    packed.example_targets.push_back(static_cast<int64_t>(packed.targets.size()));
  }
  return packed;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_WORKER_SEQUENCES_H_
