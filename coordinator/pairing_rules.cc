#include "coordinator/pairing_rules.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/check.h"

namespace attune {
namespace {

Proposal InOrder(const Candidates& candidates, size_t a, size_t b) {
  if (a > b) std::swap(a, b);
  const double gap = candidates.Gap(b, a);
  const bool decided = gap != 0 || candidates.preferences.empty();
  const bool second = decided ? gap > 0 : candidates.Preference(b, a) > 0.5;
  return second ? Proposal{b, a} : Proposal{a, b};
}

// The first with the highest value against the first with the lowest, in the order of their scores.
// All equal: the first two.
template <typename Value>
Proposal Extremes(const Candidates& candidates, const std::vector<Value>& values) {
  const auto best = std::max_element(values.begin(), values.end()) - values.begin();
  const auto worst = std::min_element(values.begin(), values.end()) - values.begin();
  return best == worst ? InOrder(candidates, 0, 1) : InOrder(candidates, best, worst);
}

// The first of the highest standing.
size_t Best(const Candidates& candidates) {
  const std::vector<Standing>& standings = candidates.standings;
  return std::max_element(standings.begin(), standings.end()) - standings.begin();
}

// Of the others; the last of equal ones, as RLHFlow's sorting has it.
size_t SecondBest(const Candidates& candidates, size_t best) {
  size_t second = best == 0 ? 1 : 0;
  for (size_t i = second + 1; i < candidates.size(); ++i) {
    if (i != best && candidates.standings[i] >= candidates.standings[second]) second = i;
  }
  return second;
}

std::vector<Proposal> AllPairs(const Candidates& candidates) {
  std::vector<Proposal> proposals;
  for (size_t a = 0; a < candidates.size(); ++a) {
    for (size_t b = a + 1; b < candidates.size(); ++b) {
      proposals.push_back(InOrder(candidates, a, b));
    }
  }
  return proposals;
}

// None for a prompt without a gold response.
std::vector<Proposal> TeacherWins(const Candidates& candidates) {
  const auto gold = std::find_if(
      candidates.responses.begin(), candidates.responses.end(),
      [](const v1::Response& response) { return response.provenance() == v1::PROVENANCE_GOLD; });
  if (gold == candidates.responses.end()) return {};
  const auto teacher = static_cast<size_t>(gold - candidates.responses.begin());
  std::vector<Proposal> proposals;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i != teacher) proposals.push_back({teacher, i});
  }
  return proposals;
}

Proposal WholeList(const Candidates& candidates) {
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return candidates.standings[a] > candidates.standings[b];
  });
  return {order.front(), order.back(), {order.begin() + 1, order.end() - 1}};
}

// A position other than `taken`, each as likely.
size_t RandomOther(const CounterRng& rng, uint64_t counter, size_t candidates, size_t taken) {
  const size_t drawn = rng.Below(counter, candidates - 1);
  return drawn < taken ? drawn : drawn + 1;
}

}  // namespace

std::vector<Proposal> Propose(v1::PairingStrategy strategy, const Candidates& candidates,
                              const CounterRng& rng) {
  const size_t best = Best(candidates);
  switch (strategy) {
    case v1::PAIRING_STRATEGY_BEST_WORST:
      return {Extremes(candidates, candidates.standings)};
    case v1::PAIRING_STRATEGY_WIN_RATE:
      return {Extremes(candidates, candidates.win_rates)};
    case v1::PAIRING_STRATEGY_LARGE_MARGIN:
    case v1::PAIRING_STRATEGY_ALL_PAIRS:
      return AllPairs(candidates);
    case v1::PAIRING_STRATEGY_MAX_MAX:
      return {InOrder(candidates, best, SecondBest(candidates, best))};
    case v1::PAIRING_STRATEGY_BEST_FIRST:
      return {InOrder(candidates, best, best == 0 ? 1 : 0)};
    case v1::PAIRING_STRATEGY_MAX_RANDOM:
      return {InOrder(candidates, best, RandomOther(rng, 0, candidates.size(), best))};
    case v1::PAIRING_STRATEGY_RANDOM: {
      const size_t one = rng.Below(0, candidates.size());
      return {InOrder(candidates, one, RandomOther(rng, 1, candidates.size(), one))};
    }
    case v1::PAIRING_STRATEGY_ONLINE:
      return {InOrder(candidates, 0, 1)};
    case v1::PAIRING_STRATEGY_TEACHER_WINS:
      return TeacherWins(candidates);
    case v1::PAIRING_STRATEGY_GROUP:
      return {WholeList(candidates)};
    default:
      ATTUNE_CHECK(false);  // a resolved spec has a strategy
      return {};
  }
}

}  // namespace attune
