// The commands of `attune`. Each Add... function declares a group of them; parsing the command line
// sets the action of the one that was asked for.
#ifndef ATTUNE_CLIENT_COMMANDS_H_
#define ATTUNE_CLIENT_COMMANDS_H_

#include <functional>
#include <stop_token>
#include <string>

#include "CLI/CLI.hpp"

namespace attune {

// Runs the command; returns the exit code. The token is requested by Ctrl-C and SIGTERM.
using CommandAction = std::function<int(std::stop_token)>;

struct ServerFlags {
  std::string coordinator = "127.0.0.1:7070";
  bool json = false;
};
// --coordinator and --json, which every command that talks to a coordinator takes.
void AddServerFlags(CLI::App& command, ServerFlags& flags);
// Only --coordinator.
void AddCoordinatorFlag(CLI::App& command, std::string& coordinator);
// Only --json, for commands that start a coordinator of their own.
void AddJsonFlag(CLI::App& command, bool& json);

void AddRunCommand(CLI::App& app, CommandAction& action);       // run
void AddUpCommand(CLI::App& app, CommandAction& action);        // up
void AddJobCommands(CLI::App& app, CommandAction& action);      // submit list get watch cancel
void AddInspectCommands(CLI::App& app, CommandAction& action);  // rounds pairs checkpoints ...

// generate, tokenize, logprobs, inspect, judge, serve and evaluate need no server: other binaries
// beside this one do them. Declared here for the list of commands only, but for evaluate with
// --job, which asks the coordinator for the models and goes on as the one without.
void AddOfflineCommands(CLI::App& app, CommandAction& action);
bool IsOfflineCommand(char** argv);
// Becomes that binary, with the same arguments; returns an exit code only when it cannot.
int ExecOfflineCommand(char** argv);

}  // namespace attune

#endif  // ATTUNE_CLIENT_COMMANDS_H_
