// attune-rollout: samples responses from the current policy. Run as many as wanted.
#include <algorithm>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "common/log.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "rollout/rollout_service.h"
#include "rpc/server.h"

namespace attune {

struct Flags {
  std::string listen = "127.0.0.1:7071", metrics_listen = "127.0.0.1:9471";
  std::string coordinator = "127.0.0.1:7070";
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

absl::Status Run(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(flags.metrics_listen, "rollout"));
  RolloutServiceImpl service(*metrics, flags.threads);
  ATTUNE_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(flags.listen, {&service}));
  v1::WorkerInfo worker;
  worker.set_id(UniqueProcessId());
  worker.set_role(v1::WORKER_ROLE_ROLLOUT);
  worker.set_address(server->address());
  worker.set_metrics_address(metrics->address());
  service.Join(flags.coordinator, worker);
  AnnounceAddresses(server->address(), metrics->address());
  WaitForStopSignal();
  service.Leave();  // first, so that no new work comes
  server->Stop(absl::Seconds(5));
  return absl::OkStatus();
}

}  // namespace attune

int main(int argc, char** argv) {
  attune::KeepLargeAllocations();
  attune::BlockStopSignals();
  attune::SetLogName("rollout");
  attune::Flags flags;
  CLI::App app("Samples the responses of jobs and records their log-probabilities.");
  app.option_defaults()->always_capture_default();
  app.add_option("--listen", flags.listen, "gRPC address")->envname("ATTUNE_LISTEN");
  app.add_option("--metrics-listen", flags.metrics_listen)->envname("ATTUNE_METRICS_LISTEN");
  app.add_option("--coordinator", flags.coordinator)->envname("ATTUNE_COORDINATOR");
  app.add_option("--threads", flags.threads)->envname("ATTUNE_THREADS")->check(CLI::Range(1, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = attune::Run(flags);
  if (!status.ok()) attune::LogError(status.message());
  return status.ok() ? 0 : 1;
}
