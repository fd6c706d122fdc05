#include "model/thread_team.h"

#include <immintrin.h>

#include "common/check.h"

namespace attune {
namespace {

constexpr uint64_t kInside = 0xffff;  // helpers within the loop
constexpr uint64_t kOpen = 0x10000;
constexpr uint64_t kNumber = 0x20000;  // one more with every loop
constexpr int kSpins = 4000;           // some 50 microseconds: longer than what lies between loops

}  // namespace

ThreadTeam::ThreadTeam(int threads) {
  ATTUNE_CHECK(threads >= 1 && threads <= 0x7fff);
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { Help(); });
}

ThreadTeam::~ThreadTeam() {
  stop_ = true;
  state_.fetch_add(kNumber);
  state_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadTeam::Claim(const Loop& loop) {
  for (int64_t i = next_.fetch_add(1); i < loop.count; i = next_.fetch_add(1)) loop.work(i);
}

void ThreadTeam::Run(int64_t count, absl::FunctionRef<void(int64_t)> work) {
  const Loop loop = {work, count};
  if (helpers_.empty() || count <= 1) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  loop_ = &loop;
  next_ = 0;
  const uint64_t opened = ((state_.load() & ~(kInside | kOpen)) + kNumber) | kOpen;
  state_.store(opened);
  if (sleeping_.load() > 0) state_.notify_all();
  Claim(loop);
  state_.fetch_and(~kOpen);
  // Those inside are at their last piece of work.
  for (int spin = 0; (state_.load() & kInside) != 0; ++spin) {
    if (spin < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadTeam::Help() {
  uint64_t seen = 0;  // number of the last loop taken part in
  int spin = 0;
  while (!stop_.load()) {
    uint64_t state = state_.load();
    const uint64_t number = state & ~(kInside | kOpen);
    if ((state & kOpen) == 0 || number == seen) {
      if (++spin < kSpins) {
        _mm_pause();
        continue;
      }
      ++sleeping_;
      state_.wait(state);
      --sleeping_;
      spin = 0;
      continue;
    }
    if (!state_.compare_exchange_weak(state, state + 1)) continue;
    seen = number;
    spin = 0;
    Claim(*loop_);
    state_.fetch_sub(1);
  }
}

}  // namespace attune
