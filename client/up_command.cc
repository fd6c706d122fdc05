#include <algorithm>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/local_cluster.h"
#include "client/output.h"
#include "client/stop_wait.h"
#include "client/terminal.h"
#include "common/files.h"
#include "common/process.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

constexpr uint32_t kProcessesMax = 64;
constexpr uint32_t kPortMax = 63135;  // the metrics port lies 2400 above
constexpr absl::Duration kWorkersTimeout = absl::Seconds(60);

struct UpFlags {
  uint32_t rollout_workers = 1;
  uint32_t trainer_ranks = 1;
  std::string data_dir = "attune-data";
  uint32_t port = 7070;
  bool json = false;
};

void PrintReady(const LocalCluster& cluster, const std::string& data_directory, bool json) {
  if (json) {
    nlohmann::ordered_json ready = {{"coordinator", cluster.coordinator()},
                                    {"metrics", cluster.coordinator_metrics()},
                                    {"data_dir", data_directory},
                                    {"processes", nlohmann::ordered_json::array()}};
    for (const auto& [name, pid] : cluster.Running()) {
      ready["processes"].push_back({{"name", name}, {"pid", pid}});
    }
    return PrintLine(ready.dump());
  }
  PrintLine(absl::StrCat("ready: coordinator ", cluster.coordinator(), ", metrics http://",
                         cluster.coordinator_metrics(), "/metrics"));
  PrintLine(absl::StrCat("data in ", data_directory, ", logs in ", cluster.log_directory()));
  PrintLine(absl::StrCat("submit jobs with: attune submit --coordinator ", cluster.coordinator(),
                         " JOB.yaml; Ctrl-C stops"));
}

// Until the user stops it (CANCELLED) or a part can no longer be kept running.
absl::Status KeepUp(LocalCluster& cluster, const UpFlags& flags, const std::string& data_directory,
                    Terminal& terminal, std::stop_token stop) {
  ATTUNE_RETURN_IF_ERROR(cluster.StartCoordinator(stop));
  cluster.StartRolloutsAndOracle();
  cluster.StartTrainers();
  ATTUNE_RETURN_IF_ERROR(
      cluster.WaitForWorkers(flags.trainer_ranks, kWorkersTimeout, stop,
                             [&](const std::string& line) { terminal.Print(line); }));
  PrintReady(cluster, data_directory, flags.json);
  while (WaitUnlessStopped(stop, absl::Hours(1))) {
  }
  return absl::CancelledError("stopped");
}

int Up(const UpFlags& flags, std::stop_token user_stop) {
  std::stop_source stop;
  const std::stop_callback forward(user_stop, [&stop] { stop.request_stop(); });
  Terminal terminal(flags.json ? stderr : stdout);
  LocalClusterOptions options;
  options.binary_directory = BinaryDirectory();
  options.data_directory = AbsolutePath(flags.data_dir);
  options.model_root = AbsolutePath(".");
  options.port = static_cast<int>(flags.port);
  options.rollout_workers = flags.rollout_workers;
  options.trainer_ranks = flags.trainer_ranks;
  options.cores = std::max(1u, std::thread::hardware_concurrency());
  LocalCluster cluster(
      options, [&](const std::string& line) { terminal.Print(line); },
      [&stop] { stop.request_stop(); });
  const absl::Status ended =
      KeepUp(cluster, flags, options.data_directory, terminal, stop.get_token());
  const absl::Status failure = cluster.status();
  cluster.Stop();
  if (user_stop.stop_requested()) {
    terminal.Print("stopped");
    return kExitDone;
  }
  return PrintError(failure.ok() ? ended : failure, flags.json);
}

}  // namespace

void AddUpCommand(CLI::App& app, CommandAction& action) {
  auto flags = std::make_shared<UpFlags>();
  CLI::App* up = app.add_subcommand("up", "Start a local cluster and keep it running until Ctrl-C");
  up->add_option("--rollout-workers", flags->rollout_workers, "Processes that sample")
      ->type_name("N")->capture_default_str()
      ->check(CLI::Range(1u, kProcessesMax).description(""));
  up->add_option("--trainer-ranks", flags->trainer_ranks, "Processes that train together")
      ->type_name("N")->capture_default_str()
      ->check(CLI::Range(1u, kProcessesMax).description(""));
  up->add_option("--data-dir", flags->data_dir, "Data of the coordinator, and logs")
      ->type_name("DIR")->capture_default_str();
  up->add_option("--port", flags->port,
                 "Of the coordinator, its metrics are 2400 above; 0 picks free ones")
      ->type_name("P")->capture_default_str()
      ->check(CLI::Range(0u, kPortMax).description(""));
  AddJsonFlag(*up, flags->json);
  up->footer(
      "A process that dies is started again. Jobs that are not finished go on the next time.\n"
      "Relative model paths of jobs are taken from the working directory.");
  up->callback(
      [flags, &action] { action = [flags](std::stop_token stop) { return Up(*flags, stop); }; });
}

}  // namespace attune
