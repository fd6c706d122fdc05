// attune-oracle: says which response is better. Keeps no state; run as many as wanted.
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "common/log.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "oracle/oracle_service.h"
#include "rpc/membership_agent.h"
#include "rpc/server.h"

namespace attune {

struct Flags {
  std::string listen = "127.0.0.1:7072";
  std::string metrics_listen = "127.0.0.1:9472";
  std::string coordinator = "127.0.0.1:7070";
  int threads = 16;
};

absl::Status Run(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(flags.metrics_listen, "oracle"));
  OracleServiceImpl service(*metrics, flags.threads);
  ATTUNE_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(flags.listen, {&service}));
  v1::WorkerInfo worker;
  worker.set_id(UniqueProcessId());
  worker.set_role(v1::WORKER_ROLE_ORACLE);
  worker.set_address(server->address());
  worker.set_metrics_address(metrics->address());
  auto membership = std::make_unique<MembershipAgent>(flags.coordinator, worker);
  AnnounceAddresses(server->address(), metrics->address());
  WaitForStopSignal();
  membership.reset();  // leaves first, so that no new work comes
  server->Stop(absl::Seconds(5));
  return absl::OkStatus();
}

}  // namespace attune

int main(int argc, char** argv) {
  attune::BlockStopSignals();
  attune::SetLogName("oracle");
  attune::Flags flags;
  CLI::App app("Says which responses of jobs are better: judges them itself, or asks others.");
  app.option_defaults()->always_capture_default();
  app.add_option("--listen", flags.listen, "gRPC address")->envname("ATTUNE_LISTEN");
  app.add_option("--metrics-listen", flags.metrics_listen, "Prometheus address; empty: none")
      ->envname("ATTUNE_METRICS_LISTEN");
  app.add_option("--coordinator", flags.coordinator)->envname("ATTUNE_COORDINATOR");
  app.add_option("--threads", flags.threads, "Prompts of a call judged at once")
      ->check(CLI::Range(1, 1024))
      ->envname("ATTUNE_THREADS");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = attune::Run(flags);
  if (!status.ok()) attune::LogError(status.message());
  return status.ok() ? 0 : 1;
}
