#include "coordinator/pairing_unpaired.h"

#include <algorithm>

#include "common/rng.h"

namespace attune {
namespace {

constexpr uint64_t kUnpairedDraw = 0x756e706169726564;  // "unpaired": which of a job's draws it is

struct Single {
  const Candidates* candidates;
  size_t position;
};

std::vector<Single> Shuffled(const std::vector<Single>& singles, const PairingInput& input,
                             uint64_t side) {
  const CounterRng rng({input.seed, kUnpairedDraw, input.round, side});
  std::vector<Single> shuffled;
  for (uint32_t i : Permutation(rng, static_cast<uint32_t>(singles.size()))) {
    shuffled.push_back(singles[i]);
  }
  return shuffled;
}

}  // namespace

std::vector<Selected> SelectUnpaired(const PairingInput& input,
                                     const std::vector<Candidates>& groups,
                                     v1::PairCounts* counts) {
  const v1::PairingSpec& spec = input.spec->pairing();
  std::vector<Single> good;
  std::vector<Single> bad;
  for (const Candidates& candidates : groups) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      const bool is_good = candidates.scores[i] > 0 && !candidates.defective[i];
      if (candidates.responses[i].token_ids().empty()) {
        counts->set_empty(counts->empty() + 1);
      } else if (is_good && spec.has_min_chosen_score() &&
                 candidates.scores[i] < spec.min_chosen_score()) {
        counts->set_low_score(counts->low_score() + 1);
      } else {
        (is_good ? good : bad).push_back({&candidates, i});
      }
    }
  }
  if (good.empty() || bad.empty()) return {};
  good = Shuffled(good, input, 0);
  bad = Shuffled(bad, input, 1);
  std::vector<Selected> selected;
  for (size_t i = 0; i < std::max(good.size(), bad.size()); ++i) {
    const Single& chosen = good[i % good.size()];
    const Single& rejected = bad[i % bad.size()];
    selected.push_back(
        {chosen.candidates, {chosen.position, rejected.position}, rejected.candidates});
  }
  return selected;
}

}  // namespace attune
