#include "client/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"

extern char** environ;

namespace attune {
namespace {

constexpr size_t kLineBytesMax = 4096;

// What the child needs after fork, prepared before it: there it may not allocate.
struct Launch {
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  int input = -1;   // becomes standard input
  int output = -1;  // becomes standard output
  int log = -1;     // becomes standard error
  int failure = -1;  // errno goes here when the program cannot be started
  pid_t parent = 0;
};

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void Reset(int fd) {
    Close();
    fd_ = fd;
  }

 private:
  int fd_;
};

absl::Status SystemError(absl::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, ": ", std::strerror(error)));
}

absl::Status MakePipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return SystemError("create a pipe", errno);
  read_end.Reset(ends[0]);
  write_end.Reset(ends[1]);
  return absl::OkStatus();
}

void FillArguments(const ProcessSpec& spec, Launch& launch) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string key = std::string(*entry).substr(0, std::strcspn(*entry, "="));
    if (spec.environment.count(key) == 0) launch.environment.emplace_back(*entry);
  }
  for (const auto& [key, value] : spec.environment) {
    launch.environment.push_back(absl::StrCat(key, "=", value));
  }
  for (std::string& entry : launch.environment) launch.envp.push_back(entry.data());
  launch.envp.push_back(nullptr);
  for (const std::string& argument : spec.command) {
    launch.argv.push_back(const_cast<char*>(argument.c_str()));
  }
  launch.argv.push_back(nullptr);
}

// The child between fork and exec: only calls that are safe there.
[[noreturn]] void RunChild(const Launch& launch) {
  ::setpgid(0, 0);
  UnblockStopSignals();
  DieWithParent(SIGTERM);
  if (::getppid() != launch.parent) ::_exit(127);  // the parent died before the line above
  ::dup2(launch.input, STDIN_FILENO);
  ::dup2(launch.output, STDOUT_FILENO);
  ::dup2(launch.log, STDERR_FILENO);
  // Descriptors that libraries opened without O_CLOEXEC: a child must not keep our connections.
  ::close_range(STDERR_FILENO + 1, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
  ::execvpe(launch.argv[0], launch.argv.data(), launch.envp.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(launch.failure, &error, sizeof(error));
  ::_exit(127);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const ProcessSpec& spec) {
  Launch launch;
  FillArguments(spec, launch);
  Fd log(::open(spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (log.get() < 0) return SystemError(absl::StrCat("open the log ", spec.log_path), errno);
  Fd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (input.get() < 0) return SystemError("open /dev/null", errno);
  Fd output_read, output_write, failure_read, failure_write;
  ATTUNE_RETURN_IF_ERROR(MakePipe(output_read, output_write));
  ATTUNE_RETURN_IF_ERROR(MakePipe(failure_read, failure_write));
  launch.input = input.get();
  launch.output = output_write.get();
  launch.log = log.get();
  launch.failure = failure_write.get();
  launch.parent = ::getpid();

  const pid_t pid = ::fork();
  if (pid == 0) RunChild(launch);
  if (pid < 0) return SystemError(absl::StrCat("start ", spec.name), errno);
  ::setpgid(pid, pid);  // here too, so that the group exists whoever comes first
  failure_write.Close();
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(failure_read.get(), &error, sizeof(error));
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    ::waitpid(pid, nullptr, 0);
    return SystemError(absl::StrCat("start ", spec.name, " (", spec.command[0], ")"), error);
  }
  ::fcntl(output_read.get(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<Process>(new Process(pid, output_read.Release()));
}

Process::~Process() {
  Kill();
  if (output_ >= 0) ::close(output_);
}

bool Process::Poll() {
  ReadOutput();
  if (wait_status_.has_value()) return true;
  if (!Reap(WNOHANG)) return false;
  ReadOutput();  // what it wrote last
  return true;
}

bool Process::Reap(int options) {
  // The group is killed before the leader is collected: until then its number is not given again.
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | options);
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) return false;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  wait_status_ = status;
  return true;
}

void Process::ReadOutput() {
  char buffer[4096];
  while (output_ >= 0) {
    const ssize_t count = ::read(output_, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      ::close(output_);
      output_ = -1;
      return;
    }
    if (first_line_.has_value()) continue;
    partial_line_.append(buffer, static_cast<size_t>(count));
    const size_t end = partial_line_.find('\n');
    if (end != std::string::npos || partial_line_.size() > kLineBytesMax) {
      first_line_ = partial_line_.substr(0, std::min(end, kLineBytesMax));
      partial_line_.clear();
    }
  }
}

bool Process::exited() const { return WIFEXITED(*wait_status_); }

int Process::exit_code() const { return WEXITSTATUS(*wait_status_); }

std::string Process::Outcome() const {
  if (exited()) return absl::StrCat("exited with code ", exit_code());
  const int signal = WTERMSIG(*wait_status_);
  return absl::StrCat("was killed by signal ", signal, " (", ::strsignal(signal), ")");
}

void Process::Terminate() {
  if (!wait_status_.has_value()) ::kill(pid_, SIGTERM);
}

void Process::Kill() {
  if (wait_status_.has_value()) return;
  ::kill(-pid_, SIGKILL);
  Reap(/*options=*/0);
}

std::string LogTail(const std::string& log_path, int lines) {
  constexpr uint64_t kTailBytes = 16 << 10;
  const absl::StatusOr<uint64_t> size = FileSize(log_path);
  if (!size.ok()) return "";
  const uint64_t start = *size > kTailBytes ? *size - kTailBytes : 0;
  const absl::StatusOr<std::string> text = ReadFileRange(log_path, start, kTailBytes);
  if (!text.ok()) return "";
  std::vector<std::string> all = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  const size_t first = all.size() - std::min<size_t>(all.size(), static_cast<size_t>(lines));
  std::string tail;
  for (size_t i = first; i < all.size(); ++i) absl::StrAppend(&tail, "    ", all[i], "\n");
  return tail;
}

}  // namespace attune
