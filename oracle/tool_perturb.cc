#include "oracle/tool_perturb.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "oracle/tool_json.h"

namespace attune {
namespace {

std::string AddSpace(const std::string& text) { return absl::StrCat(text, " "); }

std::string LowerFirst(const std::string& text) {
  std::string changed = text;
  if (!changed.empty()) changed[0] = absl::ascii_tolower(static_cast<unsigned char>(changed[0]));
  return changed;
}

std::string AskPolitely(const std::string& text) {
  return absl::StrCat("Please help me with this.\n", text);
}

}  // namespace

absl::Span<const Perturbation> Perturbations() {
  static constexpr Perturbation kAll[] = {{"trailing space", AddSpace},
                                          {"first letter in lower case", LowerFirst},
                                          {"polite", AskPolitely}};
  return kAll;
}

v1::Prompt Perturbed(const Perturbation& perturbation, const v1::Prompt& prompt) {
  v1::Prompt changed = prompt;
  changed.set_text(perturbation.change(prompt.text()));
  if (prompt.messages().empty()) return changed;
  ToolJson messages = ToolJson::parse(prompt.messages(), nullptr, /*allow_exceptions=*/false);
  ATTUNE_CHECK(messages.is_array() && !messages.empty());  // of a dataset's reader
  messages.back()["content"] = changed.text();
  changed.set_messages(messages.dump());
  return changed;
}

}  // namespace attune
