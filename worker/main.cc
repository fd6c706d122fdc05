// attune-trainer: one rank of the gang that trains. Started by mpirun, or alone as a gang of one.
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "rpc/membership_agent.h"
#include "rpc/server.h"
#include "worker/gang.h"
#include "worker/trainer_service.h"

namespace attune {
namespace {

struct Flags {
  std::string listen = "127.0.0.1:7073";
  std::string metrics_listen = "127.0.0.1:9473";
  std::string coordinator = "127.0.0.1:7070";
  int threads = 1;
};

v1::WorkerInfo DescribeSelf(const Collective& ranks, const std::string& gang_id,
                            const std::string& address, const std::string& metrics_address) {
  v1::WorkerInfo self;
  self.set_id(UniqueProcessId());
  self.set_role(v1::WORKER_ROLE_TRAINER);
  self.set_address(address);
  self.set_metrics_address(metrics_address);
  self.set_rank(ranks.rank());
  self.set_world_size(ranks.size());
  self.set_gang_id(gang_id);
  return self;
}

// Ending waits for the other ranks; one that is gone or deep in an update must not hold us up.
void EndWithin(absl::Duration limit, int exit_code) {
  std::thread([limit, exit_code] {
    PauseFor(limit);
    std::_Exit(exit_code);
  }).detach();
}

absl::Status Serve(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const auto ranks, MakeMpiCollective());
  SetLogName(absl::StrCat("trainer-", ranks->rank()));
  ATTUNE_ASSIGN_OR_RETURN(const std::string gang_id, AgreeOnGangId(*ranks));
  ATTUNE_ASSIGN_OR_RETURN(const auto listen, AddressOfRank(flags.listen, ranks->rank()));
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics_listen,
                          AddressOfRank(flags.metrics_listen, ranks->rank()));
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(metrics_listen, "trainer"));
  WeightServer weights(ranks->rank(), ranks->size(), metrics.get());
  TrainerServiceImpl trainer(ranks.get(), &weights, metrics.get(), flags.threads);
  ATTUNE_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(listen, {&trainer, &weights}));
  auto membership = std::make_unique<MembershipAgent>(
      flags.coordinator, DescribeSelf(*ranks, gang_id, server->address(), metrics->address()));
  if (ranks->rank() == 0) AnnounceAddresses(server->address(), metrics->address());
  while (trainer.healthy() && WaitForStopSignal(absl::Seconds(1)) == 0) {
  }
  EndWithin(absl::Milliseconds(2500), trainer.healthy() ? EXIT_SUCCESS : EXIT_FAILURE);
  membership.reset();  // leaves first, so that no new work comes
  server->Stop(absl::Milliseconds(500));
  if (trainer.healthy()) return absl::OkStatus();
  return absl::AbortedError("a collective operation failed; the gang must be started again");
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::KeepLargeAllocations();
  attune::BlockStopSignals();
  attune::SetLogName("trainer");
  if (!attune::Environment("OMPI_COMM_WORLD_RANK", "").empty()) attune::DieWithParent(SIGKILL);
  attune::Flags flags;
  CLI::App app("One rank of the trainer. Set OMP_WAIT_POLICY=passive where ranks share cores.");
  app.option_defaults()->always_capture_default();
  app.add_option("--listen", flags.listen, "gRPC address of rank 0; rank r takes the port + r")
      ->envname("ATTUNE_LISTEN");
  app.add_option("--metrics-listen", flags.metrics_listen, "Prometheus address, likewise")
      ->envname("ATTUNE_METRICS_LISTEN");
  app.add_option("--coordinator", flags.coordinator)->envname("ATTUNE_COORDINATOR");
  app.add_option("--threads", flags.threads, "threads of computation of each rank")
      ->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = attune::Serve(flags);
  if (!status.ok()) attune::LogError(status.message());
  return status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}
