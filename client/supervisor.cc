#include "client/supervisor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/stop_wait.h"
#include "common/check.h"
#include "common/clock.h"

namespace attune {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(20);
constexpr int kLogTailLines = 12;

std::string EndOfLog(const ProcessSpec& spec) {
  const std::string tail = LogTail(spec.log_path, kLogTailLines);
  return tail.empty() ? absl::StrCat("; its log ", spec.log_path, " is empty")
                      : absl::StrCat("; the end of ", spec.log_path, ":\n", tail);
}

// Whether the child was ended from outside. mpirun tells of a rank's death by a signal with an exit
// code above 128, as shells do.
bool DiedOfSignal(const Process& process) {
  return !process.exited() || process.exit_code() > 128;
}

}  // namespace

Supervisor::Supervisor(const SupervisorOptions& options)
    : options_(options), thread_([this] { Run(); }) {}

Supervisor::~Supervisor() { Stop(); }

void Supervisor::Add(const ProcessSpec& spec) {
  absl::MutexLock lock(&mu_);
  children_.push_back(std::make_unique<Child>());
  children_.back()->spec = spec;
}

void Supervisor::SetCommand(const std::string& name, const std::vector<std::string>& command) {
  absl::MutexLock lock(&mu_);
  Find(name)->spec.command = command;
}

absl::StatusOr<std::string> Supervisor::FirstLine(const std::string& name, absl::Duration timeout,
                                                  std::stop_token stop) {
  const absl::Duration give_up = MonotonicTime() + timeout;
  while (WaitUnlessStopped(stop, kTick)) {
    absl::MutexLock lock(&mu_);
    const Child& child = *Find(name);
    if (!status_.ok()) return status_;
    if (child.first_line.has_value()) return *child.first_line;
    if (MonotonicTime() > give_up) {
      return absl::DeadlineExceededError(absl::StrCat(name, " was not ready after ",
                                                      absl::FormatDuration(timeout),
                                                      EndOfLog(child.spec)));
    }
  }
  return absl::CancelledError("stopped");
}

std::vector<std::pair<std::string, int>> Supervisor::Running() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::pair<std::string, int>> running;
  for (const auto& child : children_) {
    if (child->process != nullptr) running.emplace_back(child->spec.name, child->process->pid());
  }
  return running;
}

absl::Status Supervisor::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void Supervisor::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Supervisor::Run() {
  absl::MutexLock lock(&mu_);
  while (!mu_.AwaitWithTimeout(absl::Condition(&stop_), kTick)) {
    for (const auto& child : children_) StartOrPoll(*child);
  }
  StopChildren(1, children_.size());
  StopChildren(0, std::min<size_t>(1, children_.size()));
}

void Supervisor::StartOrPoll(Child& child) {
  if (child.process == nullptr) {
    if (!status_.ok() || MonotonicTime() < child.start_at) return;
    absl::StatusOr<std::unique_ptr<Process>> started = Process::Start(child.spec);
    if (!started.ok()) return GiveUp(std::string(started.status().message()));
    child.process = *std::move(started);
  }
  const bool ended = child.process->Poll();
  if (child.process->first_line().has_value()) child.first_line = child.process->first_line();
  if (ended) HandleDeath(child);
}

void Supervisor::HandleDeath(Child& child) {
  const std::unique_ptr<Process> process = std::move(child.process);
  if (!status_.ok()) return;
  const std::string died = absl::StrCat(child.spec.name, " ", process->Outcome());
  if (!child.first_line.has_value() && !DiedOfSignal(*process)) {
    return GiveUp(absl::StrCat(died, " before it was ready", EndOfLog(child.spec)));
  }
  const absl::Duration now = MonotonicTime();
  while (!child.deaths.empty() && child.deaths.front() < now - options_.restart_window) {
    child.deaths.pop_front();
  }
  child.deaths.push_back(now);
  if (child.deaths.size() > options_.restarts_max) {
    return GiveUp(absl::StrCat(died, " after ", options_.restarts_max, " restarts within ",
                                      absl::FormatDuration(options_.restart_window),
                                      EndOfLog(child.spec)));
  }
  const uint32_t count = static_cast<uint32_t>(child.deaths.size());
  child.start_at = now + options_.restart_backoff.Delay(count, /*key=*/0);
  options_.on_restart(absl::StrCat(died, "; starting it again (", count, " of at most ",
                                   options_.restarts_max, " times within ",
                                   absl::FormatDuration(options_.restart_window), ")"));
}

void Supervisor::GiveUp(const std::string& why) {
  if (!status_.ok()) return;
  status_ = absl::UnavailableError(why);
  options_.on_failure();
}

void Supervisor::StopChildren(size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    if (children_[i]->process != nullptr) children_[i]->process->Terminate();
  }
  const absl::Duration kill_at = MonotonicTime() + options_.stop_grace;
  for (size_t i = begin; i < end; ++i) {
    std::unique_ptr<Process>& process = children_[i]->process;
    while (process != nullptr && !process->Poll() && MonotonicTime() < kill_at) {
      WaitUnlessStopped({}, kTick);
    }
    process.reset();  // kills what is still there
  }
}

Supervisor::Child* Supervisor::Find(const std::string& name) {
  for (const auto& child : children_) {
    if (child->spec.name == name) return child.get();
  }
  ATTUNE_CHECK(false && "no child of that name was added");
  return nullptr;
}

}  // namespace attune
