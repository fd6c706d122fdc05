#include "coordinator/dataset.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "common/check.h"
#include "common/rng.h"

namespace attune {
namespace {

// Keys of random draws: which of a job's draws it is.
constexpr uint64_t kHoldoutDraw = 0x686f6c646f757431;  // "holdout1"
constexpr uint64_t kShuffleDraw = 0x73687566666c6531;  // "shuffle1"

// The prompts that rounds may use, in index order.
std::vector<uint32_t> TrainingPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout) {
  std::vector<uint32_t> all(dataset_size);
  std::iota(all.begin(), all.end(), 0u);
  const std::vector<uint32_t> held_out = HoldoutPrompts(dataset_size, seed, holdout);
  std::vector<uint32_t> rest;
  std::set_difference(all.begin(), all.end(), held_out.begin(), held_out.end(),
                      std::back_inserter(rest));
  return rest;
}

// The order of one pass over `prompts`. Those that the round on the seam between two passes has
// already taken from the pass before come last, so that the round does not take them twice.
std::vector<uint32_t> Shuffle(const std::vector<uint32_t>& prompts, uint64_t seed, uint64_t pass,
                              std::vector<uint32_t> taken) {
  std::vector<uint32_t> order;
  const CounterRng rng({seed, kShuffleDraw, pass});
  for (uint32_t i : Permutation(rng, static_cast<uint32_t>(prompts.size()))) {
    order.push_back(prompts[i]);
  }
  std::sort(taken.begin(), taken.end());
  std::stable_partition(order.begin(), order.end(), [&](uint32_t prompt) {
    return !std::binary_search(taken.begin(), taken.end(), prompt);
  });
  return order;
}

}  // namespace

std::vector<uint32_t> HoldoutPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout) {
  std::vector<uint32_t> order = Permutation(CounterRng({seed, kHoldoutDraw}), dataset_size);
  order.resize(std::min(dataset_size, holdout));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<uint32_t> RoundPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout,
                                   uint32_t round, uint32_t count) {
  ATTUNE_CHECK(round > 0);
  const std::vector<uint32_t> prompts = TrainingPrompts(dataset_size, seed, holdout);
  const uint64_t size = prompts.size();
  const uint64_t take = std::min<uint64_t>(count, size);
  if (take == 0) return {};
  // Passes follow each other in one sequence, of which the round takes [begin, begin + take).
  const uint64_t begin = (round - 1) * take;
  const uint64_t pass = begin / size;
  // No round lies on a seam that is a multiple of `take`: the passes after it do not depend on
  // those before.
  uint64_t first = pass - pass % (take / std::gcd(take, size));
  std::vector<uint32_t> order = Shuffle(prompts, seed, first, {});
  // How many of a pass the round on the seam at its end takes.
  const auto taken_at_end = [&](uint64_t of_pass) { return (of_pass + 1) * size % take; };
  const auto next_pass = [&](uint64_t after) {
    return Shuffle(prompts, seed, after + 1,
                   std::vector<uint32_t>(order.end() - taken_at_end(after), order.end()));
  };
  for (; first < pass; ++first) order = next_pass(first);
  const uint64_t offset = begin % size;
  std::vector<uint32_t> chosen(order.begin() + offset,
                               order.begin() + std::min(offset + take, size));
  if (chosen.size() < take) {
    const std::vector<uint32_t> next = next_pass(pass);
    chosen.insert(chosen.end(), next.begin(), next.begin() + (take - chosen.size()));
  }
  return chosen;
}

}  // namespace attune
