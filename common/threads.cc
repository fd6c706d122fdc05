#include "common/threads.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace attune {

void RunInThreads(size_t count, int threads, absl::FunctionRef<void(size_t)> work) {
  std::atomic<size_t> next = 0;
  const auto run = [&] {
    for (size_t item = next++; item < count; item = next++) work(item);
  };
  std::vector<std::thread> helpers;
  const size_t most = std::min(static_cast<size_t>(std::max(1, threads)), count);
  for (size_t i = 1; i < most; ++i) helpers.emplace_back(run);
  run();
  for (std::thread& helper : helpers) helper.join();
}

int ProcessorCount() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

}  // namespace attune
