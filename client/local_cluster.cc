#include "client/local_cluster.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/job_client.h"
#include "client/stop_wait.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status_macros.h"

namespace attune {
namespace {

constexpr absl::Duration kCoordinatorTimeout = absl::Seconds(30);
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
constexpr int kMetricsPortOffset = 2400;  // 7070 -> 9470
constexpr int kLogTailLines = 12;

std::string Address(int port) { return absl::StrCat("127.0.0.1:", port); }

SupervisorOptions MakeSupervisorOptions(std::function<void(const std::string&)> on_restart,
                                        std::function<void()> on_failure) {
  SupervisorOptions options;
  options.on_restart = std::move(on_restart);
  options.on_failure = std::move(on_failure);
  return options;
}

std::string Describe(const Membership& members, const LocalClusterOptions& options) {
  return absl::StrCat("rollout workers ", members.rollout_workers, "/", options.rollout_workers,
                      "  oracle ", members.oracles, "/1  trainer ranks ", members.trainer_ranks,
                      "/", options.trainer_ranks);
}

}  // namespace

LocalCluster::LocalCluster(const LocalClusterOptions& options,
                           std::function<void(const std::string&)> on_restart,
                           std::function<void()> on_failure)
    : options_(options),
      supervisor_(MakeSupervisorOptions(std::move(on_restart), std::move(on_failure))) {}

std::string LocalCluster::log_directory() const {
  return JoinPath(options_.data_directory, "logs");
}

ProcessSpec LocalCluster::MakeSpec(const std::string& name,
                                   const std::vector<std::string>& command,
                                   uint32_t threads) const {
  ProcessSpec spec;
  spec.name = name;
  spec.command = command;
  spec.log_path = JoinPath(log_directory(), absl::StrCat(name, ".log"));
  spec.environment = {
      {"OMP_NUM_THREADS", absl::StrCat(threads)},
      {"OMP_WAIT_POLICY", "passive"},  // spinning threads starve the other processes
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
      {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
      // Containers often forbid the system call behind it, and then every message prints an error.
      {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
  };
  return spec;
}

std::vector<std::string> LocalCluster::CoordinatorCommand(
    const std::string& address, const std::string& metrics_address) const {
  return {JoinPath(options_.binary_directory, "attune-coordinator"),
          "--listen", address, "--metrics-listen", metrics_address,
          "--data-dir", options_.data_directory, "--model-root", options_.model_root};
}

absl::Status LocalCluster::StartCoordinator(std::stop_token stop) {
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(log_directory()));
  const int metrics_port = options_.port == 0 ? 0 : options_.port + kMetricsPortOffset;
  supervisor_.Add(MakeSpec(
      "coordinator", CoordinatorCommand(Address(options_.port), Address(metrics_port)), 1));
  ATTUNE_ASSIGN_OR_RETURN(const std::string line,
                          supervisor_.FirstLine("coordinator", kCoordinatorTimeout, stop));
  std::tie(coordinator_, coordinator_metrics_) = ParseAnnouncement(line);
  if (coordinator_.empty()) {
    return absl::InternalError(absl::StrCat("the coordinator wrote \"", line,
                                            "\" instead of the address it listens on"));
  }
  // A coordinator that is started again must be found where it was.
  supervisor_.SetCommand("coordinator", CoordinatorCommand(coordinator_, coordinator_metrics_));
  return absl::OkStatus();
}

std::vector<std::string> LocalCluster::WorkerCommand(const std::string& binary) const {
  const std::string any_port = Address(0);
  return {JoinPath(options_.binary_directory, binary), "--listen", any_port,
          "--metrics-listen", any_port, "--coordinator", coordinator_};
}

void LocalCluster::StartRolloutsAndOracle() {
  const uint32_t threads = std::max(1u, options_.cores / options_.rollout_workers);
  for (uint32_t i = 0; i < options_.rollout_workers; ++i) {
    std::vector<std::string> rollout = WorkerCommand("attune-rollout");
    rollout.insert(rollout.end(), {"--threads", absl::StrCat(threads)});
    supervisor_.Add(MakeSpec(absl::StrCat("rollout-", i), rollout, threads));
  }
  supervisor_.Add(MakeSpec("oracle", WorkerCommand("attune-oracle"), 1));
}

void LocalCluster::StartTrainers() {
  const uint32_t ranks = options_.trainer_ranks;
  const uint32_t threads = std::max(1u, options_.cores / ranks);
  std::vector<std::string> trainer = WorkerCommand("attune-trainer");
  trainer.insert(trainer.end(), {"--threads", absl::StrCat(threads)});
  if (ranks > 1) {
    const std::vector<std::string> mpirun = {"mpirun",    "--allow-run-as-root", "--oversubscribe",
                                             "--bind-to", "none",                "-np",
                                             absl::StrCat(ranks)};
    trainer.insert(trainer.begin(), mpirun.begin(), mpirun.end());
  }
  supervisor_.Add(MakeSpec("trainer", trainer, threads));
}

absl::Status LocalCluster::WaitForWorkers(
    uint32_t trainer_ranks, absl::Duration timeout, std::stop_token stop,
    const std::function<void(const std::string&)>& on_change) {
  const absl::Duration give_up = MonotonicTime() + timeout;
  JobClient client(coordinator_, stop);
  while (true) {
    ATTUNE_RETURN_IF_ERROR(status());
    const absl::StatusOr<std::vector<v1::WorkerInfo>> workers = client.ListWorkers();
    const Membership members = workers.ok() ? CountMembers(*workers) : Membership();
    const std::string now = Describe(members, options_);
    if (now != told_) on_change(now);
    told_ = now;
    if (members.IsComplete(trainer_ranks)) return absl::OkStatus();
    if (MonotonicTime() > give_up) {
      return absl::DeadlineExceededError(
          absl::StrCat("not all workers registered with the coordinator within ",
                       absl::FormatDuration(timeout), ": ", now,
                       LogsOfMissing(members, trainer_ranks)));
    }
    if (!WaitUnlessStopped(stop, kPollInterval)) return absl::CancelledError("stopped");
  }
}

std::string LocalCluster::LogsOfMissing(const Membership& members,
                                        uint32_t trainer_ranks) const {
  std::vector<std::string> names;
  if (members.rollout_workers == 0) names.push_back("rollout-0");
  if (members.oracles == 0) names.push_back("oracle");
  if (members.trainer_ranks < trainer_ranks) names.push_back("trainer");
  std::string logs;
  for (const std::string& name : names) {
    const std::string path = JoinPath(log_directory(), absl::StrCat(name, ".log"));
    absl::StrAppend(&logs, "\nthe end of ", path, ":\n", LogTail(path, kLogTailLines));
  }
  return logs;
}

Membership CountMembers(const std::vector<v1::WorkerInfo>& workers) {
  Membership members;
  std::map<std::string, std::set<uint32_t>> gangs;
  for (const v1::WorkerInfo& worker : workers) {
    if (worker.role() == v1::WORKER_ROLE_ROLLOUT) ++members.rollout_workers;
    if (worker.role() == v1::WORKER_ROLE_ORACLE) ++members.oracles;
    if (worker.role() == v1::WORKER_ROLE_TRAINER) {
      std::set<uint32_t>& ranks = gangs[worker.gang_id()];
      ranks.insert(worker.rank());
      members.trainer_ranks = std::max(members.trainer_ranks, static_cast<uint32_t>(ranks.size()));
    }
  }
  return members;
}

std::pair<std::string, std::string> ParseAnnouncement(const std::string& line) {
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (words.size() != 4 || words[0] != "listening" || words[2] != "metrics") return {};
  return {words[1], words[3]};
}

}  // namespace attune
