#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "common/files.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "coordinator/grpc_workers.h"
#include "coordinator/job_book.h"
#include "coordinator/job_runner.h"
#include "coordinator/job_service.h"
#include "coordinator/membership.h"
#include "coordinator/membership_service.h"
#include "coordinator/pair_service.h"
#include "rpc/server.h"
#include "storage/store.h"

namespace attune {
namespace {

struct Flags {
  std::string listen = "127.0.0.1:7070";
  std::string metrics_listen = "127.0.0.1:9470";
  std::string data_dir = "attune-data";
  std::string model_root = ".";
};

absl::Status Serve(const Flags& flags) {
  const std::string data = AbsolutePath(flags.data_dir);
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(data));
  ATTUNE_ASSIGN_OR_RETURN(const auto store, Store::Open(JoinPath(data, "store")));
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(flags.metrics_listen, "coordinator"));
  ATTUNE_ASSIGN_OR_RETURN(const auto book, JobBook::Open(store.get(), metrics.get()));
  Membership membership;
  MembershipServiceImpl membership_service(&membership);
  PairServiceImpl pair_service(store.get());
  GrpcWorkers workers(&membership);
  JobServiceImpl job_service(book.get(), store.get(), &membership, &workers,
                             AbsolutePath(flags.model_root));
  ATTUNE_ASSIGN_OR_RETURN(
      const auto server,
      RpcServer::Start(flags.listen, {&membership_service, &pair_service, &job_service}));
  workers.SetSelf(server->address());
  JobRunner runner(book.get(), store.get(), &workers, metrics.get(), JoinPath(data, "checkpoints"));
  std::thread run([&runner] { runner.Run(); });
  AnnounceAddresses(server->address(), metrics->address());
  LogInfo("serving on ", server->address(), ", data in ", data);
  WaitForStopSignal();
  LogInfo("stopping");
  book->Shutdown();
  run.join();
  server->Stop(absl::Seconds(1));
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::BlockStopSignals();
  attune::SetLogName("coordinator");
  attune::Flags flags;
  CLI::App app("Attune's coordinator: jobs, rounds, scheduling and the pair store.");
  app.add_option("--listen", flags.listen, "host:port of the service")
      ->envname("ATTUNE_LISTEN")->capture_default_str();
  app.add_option("--metrics-listen", flags.metrics_listen, "host:port of /metrics")
      ->envname("ATTUNE_METRICS_LISTEN")->capture_default_str();
  app.add_option("--data-dir", flags.data_dir, "store and checkpoints; shared with all workers")
      ->envname("ATTUNE_DATA_DIR")->capture_default_str();
  app.add_option("--model-root", flags.model_root, "where relative paths of a job begin")
      ->envname("ATTUNE_MODEL_ROOT")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = attune::Serve(flags);
  if (status.ok()) return 0;
  attune::LogError(status.message());
  return 1;
}
