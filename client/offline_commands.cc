#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/job_client.h"
#include "client/output.h"
#include "common/files.h"
#include "common/process.h"
#include "common/signals.h"

namespace attune {
namespace {

constexpr char kModelTool[] = "attune-model";
constexpr char kJudgeTool[] = "attune-judge";
constexpr char kServeTool[] = "attune-serve";
constexpr char kServe[] = "serve";
constexpr char kEvaluate[] = "evaluate";

struct OfflineCommand {
  const char* name;
  const char* description;
  const char* binary;
};

constexpr OfflineCommand kCommands[] = {
    {"generate", "Sample from a model; no server (see attune generate --help)", kModelTool},
    {"tokenize", "Text to token ids and back; no server", kModelTool},
    {"logprobs", "Log-probabilities of given completions; no server", kModelTool},
    {"inspect", "What a model is, needs and lacks to be used; no server", kModelTool},
    {"judge", "Verdicts of an oracle, and how good they are; no server", kJudgeTool},
    {kServe, "A model behind OpenAI's HTTP API (see attune serve --help)", kServeTool}};

bool NamesAJob(char** argv) {
  for (; *argv != nullptr; ++argv) {
    const std::string argument = *argv;
    if (argument == "--job" || absl::StartsWith(argument, "--job=")) return true;
  }
  return false;
}

int Exec(const std::string& name, char** argv) {
  const std::string binary = JoinPath(BinaryDirectory(), name);
  UnblockStopSignals();  // the mask would be inherited
  ::execv(binary.c_str(), argv);
  return PrintError(
      absl::UnavailableError(absl::StrCat("cannot start ", binary, ": ", std::strerror(errno))),
      /*json=*/false);
}

struct EvaluateFlags {
  std::string coordinator = ServerFlags().coordinator;
  std::string job;
  std::vector<std::string> others;  // for attune-judge
};

// The initial model and the checkpoints that there are become players, in the order of rounds.
int EvaluateJob(const EvaluateFlags& flags, std::stop_token stop) {
  JobClient client(flags.coordinator, stop);
  const absl::StatusOr<v1::Job> job = client.GetJob(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), /*json=*/false);
  const absl::StatusOr<std::vector<v1::Checkpoint>> checkpoints =
      client.ListCheckpoints(JobName(flags.job));
  if (!checkpoints.ok()) return PrintError(checkpoints.status(), /*json=*/false);
  std::vector<std::string> arguments = {
      "attune", kEvaluate, "--model",
      absl::StrCat("round-0=", job->resolved_spec().model().path())};
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    arguments.push_back("--model");
    arguments.push_back(absl::StrCat("round-", checkpoint.round(), "=", checkpoint.path()));
  }
  arguments.insert(arguments.end(), flags.others.begin(), flags.others.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return Exec(kJudgeTool, argv.data());
}

}  // namespace

void AddOfflineCommands(CLI::App& app, CommandAction& action) {
  for (const OfflineCommand& command : kCommands) {
    app.add_subcommand(command.name, command.description);
  }
  CLI::App* evaluate = app.add_subcommand(
      kEvaluate, "Let models, or the rounds of a job, play each other; no server for models");
  auto flags = std::make_shared<EvaluateFlags>();
  evaluate->set_help_flag();  // all but these two flags are for attune-judge
  evaluate->allow_extras();
  evaluate->add_option("--job", flags->job, "Its rounds play each other")->type_name("JOB");
  AddCoordinatorFlag(*evaluate, flags->coordinator);
  evaluate->callback([evaluate, flags, &action] {
    flags->others = evaluate->remaining();
    action = [flags](std::stop_token stop) { return EvaluateJob(*flags, stop); };
  });
}

bool IsOfflineCommand(char** argv) {
  if (argv[1] == nullptr) return false;
  const std::string name = argv[1];
  for (const OfflineCommand& command : kCommands) {
    if (name == command.name) return true;
  }
  return name == kEvaluate && !NamesAJob(argv);
}

int ExecOfflineCommand(char** argv) {
  const std::string name = argv[1];
  if (name == kServe) return Exec(kServeTool, argv + 1);  // a binary of one command
  for (const OfflineCommand& command : kCommands) {
    if (name == command.name) return Exec(command.binary, argv);
  }
  return Exec(kJudgeTool, argv);
}

}  // namespace attune
