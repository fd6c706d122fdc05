// A chat template, and behind it (and a NUL byte) the messages, in JSON.
#include <cstddef>
#include <cstdint>

#include "common/check.h"
#include "model/chat_template.h"
#include "model/tokenizer/utf8.h"
#include "tests/fuzz/fuzz_input.h"

namespace attune {
namespace {

constexpr char kVariables[] = R"({"bos_token": "<s>", "eos_token": "</s>"})";
constexpr char kMessages[] = R"([{"role": "system", "content": " Be  brief.\n"},
    {"role": "user", "content": "Hi é"}, {"role": "assistant", "content": [{"type": "text"}]}])";

void Render(const ChatTemplate& chat, absl::string_view messages) {
  for (const bool add_generation_prompt : {false, true}) {
    const auto text = chat.Render(messages, add_generation_prompt);
    ATTUNE_CHECK(text.ok() ? IsValidUtf8(*text) : !text.status().message().empty());
  }
}

}  // namespace
}  // namespace attune

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  const FuzzInput input(data, size);
  const auto chat = ChatTemplate::Parse(input.first, kVariables);
  if (chat.ok()) {
    Render(**chat, input.rest.empty() ? kMessages : input.rest);
  } else {
    ATTUNE_CHECK(!chat.status().message().empty());
  }
  return 0;
}
