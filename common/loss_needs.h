// What each loss needs, without its formula and without LibTorch: for those who decide what to
// compute and what to refuse.
#ifndef ATTUNE_COMMON_LOSS_NEEDS_H_
#define ATTUNE_COMMON_LOSS_NEEDS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attune {

// Columns of LossBatch (worker/objectives/loss.h) that must be there, and options that are read.
struct LossNeeds {
  bool reference = false;  // reference_logps
  bool lengths = false;
  bool unpaired = false;     // the two sides may have different numbers of rows
  bool groups = false;       // GroupColumns instead of pairs
  bool scores = false;       // of the groups
  bool relevance = false;    // and ranks, of the groups
  bool soft_target = false;  // reads target
  bool smoothing = false;    // reads label_smoothing
  bool divergence = false;   // reads f_divergence
  bool win_rates = false;
  bool win_probability = false;
  bool self_weighted = false;  // self_weighted_logps
  bool opponent = false;       // chosen is the policy's sample, whichever won, rejected the
                               // opponent's
  bool margins = false;
  bool gold = false;  // the dataset's response to each pair's prompt
  bool mismatched = false;
  bool corrupted = false;
  bool views = false;
  bool rewards = false;        // of a model with a score head, in place of log-probabilities
  bool other_adapter = false;  // other_logps: of the second of two adapters in training
  bool vocabulary = false;     // sequence_kl: both models' logits at every position
  bool running_mean = false;   // bco_shift, of all rewards so far
  bool couples_batch = false;  // an example's loss depends on the others of the update
};

// Everything that one of the two needs.
LossNeeds Union(const LossNeeds& a, const LossNeeds& b);

struct NamedNeeds {
  const char* name;  // of loss_type in a job file; TRL's where TRL has it
  LossNeeds needs;
};

absl::Span<const NamedNeeds> AllLossNeeds();

// Null when there is no loss of that name.
const LossNeeds* FindLossNeeds(absl::string_view name);

}  // namespace attune

#endif  // ATTUNE_COMMON_LOSS_NEEDS_H_
