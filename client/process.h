// One child process: started in a process group of its own, its standard output read by us, its
// standard error appended to a log file, ended with everything it started.
#ifndef ATTUNE_CLIENT_PROCESS_H_
#define ATTUNE_CLIENT_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace attune {

struct ProcessSpec {
  std::string name;                  // for people and the log: "rollout-0"
  std::vector<std::string> command;  // program (a path, or a name on $PATH) and its arguments
  std::map<std::string, std::string> environment;  // besides our own
  std::string log_path;              // standard error; its directory exists
};

// Not thread-safe. The kernel ends the child (SIGTERM) when the *thread* that started it ends: that
// thread must live as long as the child is wanted.
class Process {
 public:
  // UNAVAILABLE when the program cannot be started.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Process>> Start(const ProcessSpec& spec);
  ~Process();  // as Kill()
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }

  // Collects what has arrived on standard output and whether the child has ended; never waits.
  // When it has, what is left of its process group is killed. True once it has ended.
  bool Poll();
  // The first line of standard output, once it is there whole. What follows is thrown away.
  const std::optional<std::string>& first_line() const { return first_line_; }

  // After Poll() returned true: the exit code, or the signal.
  bool exited() const;
  int exit_code() const;
  // "exited with code 1", "was killed by signal 9 (Killed)".
  std::string Outcome() const;

  void Terminate();  // asks it to stop: SIGTERM to the process itself, which stops its own children
  void Kill();       // SIGKILL to the process group; waits for the end

 private:
  Process(pid_t pid, int output) : pid_(pid), output_(output) {}
  void ReadOutput();
  // With `options` of waitid; whether the child has ended and is collected.
  bool Reap(int options);

  const pid_t pid_;
  int output_;  // read end of its standard output, non-blocking; -1 = closed
  std::string partial_line_;
  std::optional<std::string> first_line_;
  std::optional<int> wait_status_;  // set once it was collected
};

// The last `lines` lines of a log, indented for people; "" when there is none.
std::string LogTail(const std::string& log_path, int lines);

}  // namespace attune

#endif  // ATTUNE_CLIENT_PROCESS_H_
