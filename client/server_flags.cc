#include "client/commands.h"

namespace attune {
namespace {

// Empty when `text` is host:port.
std::string CheckHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool digits = port.find_first_not_of("0123456789") == std::string::npos;
  if (colon != 0 && !port.empty() && port.size() <= 5 && digits && std::stoi(port) <= 65535) {
    return "";
  }
  return "must be HOST:PORT, is \"" + text + "\"";
}

}  // namespace

void AddServerFlags(CLI::App& command, ServerFlags& flags) {
  AddCoordinatorFlag(command, flags.coordinator);
  AddJsonFlag(command, flags.json);
}

void AddCoordinatorFlag(CLI::App& command, std::string& coordinator) {
  command.add_option("--coordinator", coordinator, "Address of the coordinator")
      ->type_name("HOST:PORT")
      ->envname("ATTUNE_COORDINATOR")
      ->capture_default_str()
      ->check(CLI::Validator(CheckHostPort, ""));
}

void AddJsonFlag(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "Print JSON: one object, or one per line");
}

}  // namespace attune
