#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/output.h"
#include "common/files.h"
#include "common/process.h"
#include "common/signals.h"

namespace attune {
namespace {

constexpr std::pair<const char*, const char*> kModelCommands[] = {
    {"generate", "Sample from a model; no server (see attune generate --help)"},
    {"tokenize", "Text to token ids and back; no server"},
    {"logprobs", "Log-probabilities of given completions; no server"},
    {"inspect", "What a model is, needs and lacks to be used; no server"}};

}  // namespace

void AddModelCommands(CLI::App& app) {
  for (const auto& [name, description] : kModelCommands) app.add_subcommand(name, description);
}

bool IsModelCommand(const std::string& name) {
  for (const auto& [command, description] : kModelCommands) {
    if (name == command) return true;
  }
  return false;
}

int ExecModelCommand(char** argv) {
  const std::string binary = JoinPath(BinaryDirectory(), "attune-model");
  UnblockStopSignals();  // the mask would be inherited
  ::execv(binary.c_str(), argv);
  return PrintError(absl::UnavailableError(absl::StrCat("cannot start ", binary, ": ",
                                                        std::strerror(errno))),
                    /*json=*/false);
}

}  // namespace attune
