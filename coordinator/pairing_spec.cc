#include "coordinator/pairing_spec.h"

#include "absl/strings/str_cat.h"

namespace attune {
namespace {

// Strategies that look for the best, or for the worst, by score.
bool LooksForExtremes(v1::PairingStrategy strategy) {
  return strategy == v1::PAIRING_STRATEGY_BEST_WORST || strategy == v1::PAIRING_STRATEGY_MAX_MAX ||
         strategy == v1::PAIRING_STRATEGY_MAX_RANDOM || strategy == v1::PAIRING_STRATEGY_BEST_FIRST;
}

}  // namespace

void CheckPairing(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  const v1::PairingSpec& pairing = spec.pairing();
  CheckEnum("pairing.strategy", pairing.strategy(), &block);
  CheckEnum("pairing.tie_policy", pairing.tie_policy(), &block);
  block.Range("pairing.min_margin", pairing.min_margin(), {0, 1e9});
  block.Range("pairing.min_margin_student", pairing.min_margin_student(), {0, 1e9});
  block.Range("pairing.min_chosen_score", pairing.min_chosen_score(), {-1e9, 1e9});
  block.Range("pairing.max_pairs_per_prompt", pairing.max_pairs_per_prompt(), {1, 4096});
  if (pairing.length_penalty() > 0 && !LooksForExtremes(pairing.strategy())) {
    block.Add("pairing.length_penalty",
              absl::StrCat("is ", Number(pairing.length_penalty()),
                           "; must be 0 unless pairing.strategy is best_worst, max_max, "
                           "max_random or best_first"));
  } else {
    block.Range("pairing.length_penalty", pairing.length_penalty(), {0, 1e6});
  }
  if (pairing.strategy() == v1::PAIRING_STRATEGY_ONLINE && spec.sampling().num_generations() != 2) {
    block.Add("sampling.num_generations", absl::StrCat("is ", spec.sampling().num_generations(),
                                                       "; must be 2 for pairing.strategy online"));
  }
}

}  // namespace attune
