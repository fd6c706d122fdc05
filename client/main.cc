// The command line of Attune.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <stop_token>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/output.h"
#include "common/log.h"
#include "common/signals.h"

namespace attune {
namespace {

constexpr char kDescription[] =
    "Attune aligns language models with preferences, online: it samples, compares, pairs and\n"
    "trains in rounds. Begin with: attune run JOB.yaml";
constexpr size_t kHelpColumn = 34;
constexpr char kFooter[] =
    "Exit codes: 0 done, 1 failed, 2 bad usage or refused input, 130 stopped (Ctrl-C, SIGTERM).\n"
    "attune COMMAND --help tells more about a command.";

// The command runs on a thread of its own; this one turns signals into a stop request.
int RunUntilStopped(const CommandAction& action) {
  std::stop_source stop;
  std::atomic<bool> done = false;
  int exit_code = kExitFailed;
  std::thread work([&] {
    try {
      exit_code = action(stop.get_token());
    } catch (const std::exception& error) {
      PrintError(absl::InternalError(absl::StrCat("unexpected: ", error.what())), /*json=*/false);
    }
    done = true;
    ::kill(::getpid(), SIGTERM);  // blocked everywhere: wakes the thread below
  });
  while (WaitForStopSignal() != 0 && !done) stop.request_stop();
  work.join();
  return exit_code;
}

int Main(int argc, char** argv) {
  CLI::App app(kDescription, "attune");
  app.set_version_flag("--version", "attune 0.1.0");
  app.require_subcommand(1);
  app.get_formatter()->column_width(kHelpColumn);
  app.footer(kFooter);
  CommandAction action;
  AddRunCommand(app, action);
  AddUpCommand(app, action);
  AddJobCommands(app, action);
  AddInspectCommands(app, action);
  AddOfflineCommands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitRefused;
  }
  return RunUntilStopped(action);
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::BlockStopSignals();
  attune::SetLogName("attune");
  if (attune::IsOfflineCommand(argv)) return attune::ExecOfflineCommand(argv);
  return attune::Main(argc, argv);
}
