// Threads that take part in one loop after another with microseconds between: a forward pass is a
// hundred such loops. They spin for a short while between two, then sleep.
#ifndef ATTUNE_MODEL_THREAD_TEAM_H_
#define ATTUNE_MODEL_THREAD_TEAM_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace attune {

// One thread at a time may call Run.
class ThreadTeam {
 public:
  // Of `threads` in all, the caller of Run among them; at least 1.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  // work(0) .. work(count - 1), each once and in no order. Returns when all are done. A helper that
  // the system does not run now is not waited for: the others do its share.
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> work);

 private:
  struct Loop {
    absl::FunctionRef<void(int64_t)> work;
    int64_t count;
  };
  void Help();
  void Claim(const Loop& loop);

  // Number of the loop, whether it is open to helpers, how many are inside: one word, so that a
  // helper enters a loop that is open or none.
  std::atomic<uint64_t> state_ = 0;
  std::atomic<int64_t> next_ = 0;
  std::atomic<int> sleeping_ = 0;
  std::atomic<bool> stop_ = false;
  const Loop* loop_ = nullptr;  // while open
  std::vector<std::thread> helpers_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_THREAD_TEAM_H_
