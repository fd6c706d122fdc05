// attune-serve: a model behind OpenAI's HTTP API.
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/process.h"
#include "common/signals.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/engine_thread.h"
#include "serve/api_service.h"
#include "serve/http_server.h"
#include "serve/served_model.h"

namespace attune {
namespace {

constexpr int64_t kWaitingMax = 1024;                     // prompts
constexpr absl::Duration kDrainTime = absl::Seconds(30);  // of requests, after a stop signal
constexpr absl::Duration kDrainLook = absl::Milliseconds(100);
constexpr int kFailed = 1;
constexpr int kRefused = 2;

struct Flags {
  std::string model;
  std::string listen = "127.0.0.1:8080";
  std::string served_model_name;
  std::string precision = "fp32";
  int threads = ProcessorCount();
  double cache_gib = 1;
  std::string api_key_file;
};

absl::StatusOr<std::string> ReadKey(const std::string& path) {
  if (path.empty()) return "";
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  std::string key(absl::StripAsciiWhitespace(bytes));
  if (!key.empty()) return key;
  return absl::InvalidArgumentError(absl::StrCat("--api-key-file ", path, " has no key"));
}

// What runs may end, within a limit; a second signal ends it at once.
void Drain(ApiService& service) {
  LogInfo("stopping: no more requests; those that run have ", absl::FormatDuration(kDrainTime));
  service.StartDraining();
  const absl::Duration deadline = MonotonicTime() + kDrainTime;
  while (!service.AwaitIdle(kDrainLook)) {
    if (MonotonicTime() < deadline && WaitForStopSignal(absl::ZeroDuration()) == 0) continue;
    LogWarning("requests still run; they end with an error");
    service.Abort();
    return;
  }
}

absl::Status Run(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string key, ReadKey(flags.api_key_file));
  const bool is_bf16 = flags.precision == "bf16";
  ATTUNE_ASSIGN_OR_RETURN(
      ServedModel model,
      LoadServedModel(flags.model, flags.served_model_name,
                      is_bf16 ? std::optional<TensorType>(TensorType::kBf16) : std::nullopt));
  LogInfo("model ", model.name, ", ", model.fingerprint,
          model.chat_template.ok() ? "" : "; no chat template: completions only");
  EngineThread engine({.threads = flags.threads,
                       .cache_bytes = static_cast<int64_t>(std::ldexp(flags.cache_gib, 30))},
                      kWaitingMax);
  ApiService service(std::move(model), engine, key);
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<HttpServer> server,
                          HttpServer::Start(flags.listen, [&](const HttpRequest& request) {
                            return service.Handle(request);
                          }));
  std::printf("listening %s\n", server->address().c_str());
  std::fflush(stdout);
  WaitForStopSignal();
  Drain(service);
  server->Stop();
  return absl::OkStatus();
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.option_defaults()->always_capture_default();
  app.add_option("--model", flags.model, "Hugging Face model directory")->required();
  app.add_option("--listen", flags.listen, "HTTP address; port 0 picks one")
      ->envname("ATTUNE_LISTEN");
  app.add_option("--served-model-name", flags.served_model_name,
                 "What requests call the model; empty: the name of its directory");
  app.add_option("--precision", flags.precision, "bf16 rounds the weights")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", flags.threads, "Of the engine")
      ->check(CLI::Range(1, 1024))
      ->envname("ATTUNE_THREADS");
  app.add_option("--cache-gib", flags.cache_gib, "Memory for keys and values, GiB")
      ->check(CLI::Range(0.001, 65536.0));
  app.add_option("--api-key-file", flags.api_key_file,
                 "File with the key that /v1/ asks for; empty: none is needed");
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::BlockStopSignals();
  attune::KeepLargeAllocations();
  attune::SetLogName("serve");
  attune::Flags flags;
  CLI::App app("Serves a model over HTTP as OpenAI's API has it", "attune serve");
  attune::AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : attune::kRefused;
  }
  const absl::Status status = attune::Run(flags);
  if (status.ok()) return 0;
  attune::LogError(status.message());
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? attune::kRefused
                                                                     : attune::kFailed;
}
