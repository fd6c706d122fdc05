// Keeps a set of child processes running: one that dies is started again, within a budget; all of
// them stop together and none is left behind.
#ifndef ATTUNE_CLIENT_SUPERVISOR_H_
#define ATTUNE_CLIENT_SUPERVISOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/process.h"
#include "common/retry.h"

namespace attune {

struct SupervisorOptions {
  // Called with one sentence for people when a child died and is started again.
  std::function<void(const std::string&)> on_restart = [](const std::string&) {};
  // Called once, when a child is given up; status() says why.
  std::function<void()> on_failure = [] {};
  uint32_t restarts_max = 10;  // of one child within `restart_window`
  absl::Duration restart_window = absl::Minutes(5);
  Backoff restart_backoff = {absl::Milliseconds(200), absl::Seconds(5)};
  absl::Duration stop_grace = absl::Seconds(5);  // between SIGTERM and SIGKILL
};

// A child is given up, and the whole set with it, when it cannot be started, when it exits by
// itself before its first line of output (a wrong flag, a port in use: again would be the same), or
// when its restarts are used up. A child killed by a signal is always started again.
//
// Thread-safe. One thread of its own starts, watches and stops all children, because the kernel
// ends a child together with the thread that started it. Callbacks run on that thread and must not
// call the supervisor.
class Supervisor {
 public:
  explicit Supervisor(const SupervisorOptions& options);
  ~Supervisor();  // as Stop()

  void Add(const ProcessSpec& spec);
  // What is started the next time `name` has to be.
  void SetCommand(const std::string& name, const std::vector<std::string>& command);

  // The first line `name` wrote to its standard output. The error is status(), CANCELLED once
  // `stop` is requested, or DEADLINE_EXCEEDED with the end of the child's log.
  [[nodiscard]] absl::StatusOr<std::string> FirstLine(const std::string& name,
                                                      absl::Duration timeout,
                                                      std::stop_token stop);
  // Process ids of the children that run now, by name in the order they were added.
  std::vector<std::pair<std::string, int>> Running() const;
  // OK until a child is given up; then which, why and the end of its log.
  absl::Status status() const;

  // SIGTERM, and SIGKILL after the grace: first to all children but the one added first, which the
  // others say goodbye to, then to that one. Returns when no child is left. Idempotent; only one
  // thread may call it at a time.
  void Stop();

 private:
  struct Child {
    ProcessSpec spec;
    std::unique_ptr<Process> process;       // null: to be started at `start_at`
    std::optional<std::string> first_line;  // of any start
    std::deque<absl::Duration> deaths;      // MonotonicTime, within the window
    absl::Duration start_at;
  };

  void Run();
  void StartOrPoll(Child& child) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The child has ended although nobody asked it to.
  void HandleDeath(Child& child) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveUp(const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Stops children [begin, end) together.
  void StopChildren(size_t begin, size_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Child* Find(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const SupervisorOptions options_;
  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<Child>> children_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace attune

#endif  // ATTUNE_CLIENT_SUPERVISOR_H_
