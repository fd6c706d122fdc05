// The whole system as processes of this machine: a coordinator, rollout workers, an oracle and a
// gang of trainer ranks, kept running until Stop().
#ifndef ATTUNE_CLIENT_LOCAL_CLUSTER_H_
#define ATTUNE_CLIENT_LOCAL_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/membership.pb.h"
#include "client/supervisor.h"

namespace attune {

// Who has registered, as far as a job needs it.
struct Membership {
  uint32_t rollout_workers = 0;
  uint32_t oracles = 0;
  uint32_t trainer_ranks = 0;  // of the gang with most ranks

  bool IsComplete(uint32_t ranks) const {
    return rollout_workers > 0 && oracles > 0 && trainer_ranks >= ranks;
  }
};
Membership CountMembers(const std::vector<v1::WorkerInfo>& workers);

struct LocalClusterOptions {
  std::string binary_directory;  // of attune-coordinator and the others
  std::string data_directory;    // of the coordinator; logs go to its folder logs/
  std::string model_root;        // relative model paths of jobs are taken from here
  int port = 0;                  // of the coordinator; 0 picks a free one
  uint32_t rollout_workers = 1;
  uint32_t trainer_ranks = 1;
  uint32_t cores = 1;            // shared out among the processes
};

// StartCoordinator comes first. Not thread-safe, but status() may be called by any thread.
class LocalCluster {
 public:
  // The callbacks are those of SupervisorOptions.
  LocalCluster(const LocalClusterOptions& options,
               std::function<void(const std::string&)> on_restart,
               std::function<void()> on_failure);

  // Creates the data directory and waits until the coordinator listens.
  absl::Status StartCoordinator(std::stop_token stop);
  void StartRolloutsAndOracle();
  void StartTrainers();
  // Until a rollout worker, an oracle and a gang of at least `trainer_ranks` have registered.
  // `on_change` is told in words what is there whenever that changes.
  absl::Status WaitForWorkers(uint32_t trainer_ranks, absl::Duration timeout, std::stop_token stop,
                              const std::function<void(const std::string&)>& on_change);

  // host:port, once started.
  const std::string& coordinator() const { return coordinator_; }
  const std::string& coordinator_metrics() const { return coordinator_metrics_; }
  std::vector<std::pair<std::string, int>> Running() const { return supervisor_.Running(); }
  absl::Status status() const { return supervisor_.status(); }
  std::string log_directory() const;
  void Stop() { supervisor_.Stop(); }

 private:
  // A server that listens on free ports and registers with the coordinator.
  std::vector<std::string> WorkerCommand(const std::string& binary) const;
  ProcessSpec MakeSpec(const std::string& name, const std::vector<std::string>& command,
                       uint32_t threads) const;
  std::vector<std::string> CoordinatorCommand(const std::string& address,
                                              const std::string& metrics_address) const;
  std::string LogsOfMissing(const Membership& members, uint32_t trainer_ranks) const;

  const LocalClusterOptions options_;
  std::string coordinator_;
  std::string coordinator_metrics_;
  std::string told_;  // what on_change of WaitForWorkers was told last
  Supervisor supervisor_;
};

// The two addresses of "listening HOST:PORT metrics HOST:PORT"; empty when it is anything else.
std::pair<std::string, std::string> ParseAnnouncement(const std::string& line);

}  // namespace attune

#endif  // ATTUNE_CLIENT_LOCAL_CLUSTER_H_
