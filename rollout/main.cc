// attune-rollout: samples responses from the current policy. Run as many as wanted.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "common/log.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "rollout/endpoint_sampler.h"
#include "rollout/rollout_service.h"
#include "rpc/server.h"

namespace attune {

struct Flags {
  std::string listen = "127.0.0.1:7071", metrics_listen = "127.0.0.1:9471";
  std::string coordinator = "127.0.0.1:7070";
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double cache_gib = 4;
  std::string endpoint, endpoint_model;
};

// Null without --endpoint. The key is no flag: those are seen by everyone on the machine.
std::unique_ptr<EndpointSampler> MakeEndpointSampler(const Flags& flags, Metrics& metrics) {
  if (flags.endpoint.empty()) return nullptr;
  // A key that was read from a file often has the end of a line.
  const std::string key(absl::StripAsciiWhitespace(Environment("ATTUNE_ENDPOINT_API_KEY", "")));
  return std::make_unique<EndpointSampler>(
      SamplerEndpoint{flags.endpoint, flags.endpoint_model, key, SamplerCallDefaults()}, metrics);
}

absl::Status Run(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const auto metrics, Metrics::Create(flags.metrics_listen, "rollout"));
  const EngineOptions engine{.threads = flags.threads,
                             .cache_bytes = static_cast<int64_t>(std::ldexp(flags.cache_gib, 30))};
  RolloutServiceImpl service(*metrics, engine, MakeEndpointSampler(flags, *metrics));
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
  app.add_option("--cache-gib", flags.cache_gib,
                 "Memory for keys and values, GiB; where it is short, fewer responses are sampled "
                 "at a time")
      ->envname("ATTUNE_CACHE_GIB")
      ->check(CLI::Range(0.0, 65536.0));
  CLI::Option* endpoint =
      app.add_option("--endpoint", flags.endpoint,
                     "OpenAI-compatible server that samples; empty: the worker does. Its key is in "
                     "the environment variable ATTUNE_ENDPOINT_API_KEY")
          ->envname("ATTUNE_ENDPOINT");
  CLI::Option* endpoint_model = app.add_option("--endpoint-model", flags.endpoint_model,
                                               "Name of the model that the server samples with")
                                    ->envname("ATTUNE_ENDPOINT_MODEL");
  endpoint->needs(endpoint_model);
  endpoint_model->needs(endpoint);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = attune::Run(flags);
  if (!status.ok()) attune::LogError(status.message());
  return status.ok() ? 0 : 1;
}
