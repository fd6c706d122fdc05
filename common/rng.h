// Counter-based random numbers (SplitMix64 finaliser over a mixed key): a draw is a pure function
// of its key, so it does not depend on which process, thread or batch makes it.
//
//   CounterRng rng({job_seed, round, prompt, sample});
//   double u = rng.Uniform(position);   // the same on every machine, in any order
#ifndef ATTUNE_COMMON_RNG_H_
#define ATTUNE_COMMON_RNG_H_

#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <utility>
#include <vector>

namespace attune {

inline uint64_t MixBits(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class CounterRng {
 public:
  CounterRng(std::initializer_list<uint64_t> key) {
    for (uint64_t part : key) key_ = MixBits(key_ ^ MixBits(part));
  }
  explicit CounterRng(uint64_t key) : key_(key) {}

  uint64_t key() const { return key_; }
  uint64_t Bits(uint64_t counter) const { return MixBits(key_ ^ MixBits(counter)); }

  // In [0, 1), 53 bits.
  double Uniform(uint64_t counter) const { return (Bits(counter) >> 11) * 0x1.0p-53; }

  // In [0, n); n > 0. The bias, below n / 2^64, is of no consequence.
  uint64_t Below(uint64_t counter, uint64_t n) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Bits(counter)) * n) >> 64);
  }

 private:
  uint64_t key_ = 0;
};

// A permutation of 0 .. n-1 (Fisher-Yates).
inline std::vector<uint32_t> Permutation(const CounterRng& rng, uint32_t n) {
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  for (uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i, i)]);
  return order;
}

}  // namespace attune

#endif  // ATTUNE_COMMON_RNG_H_
