// tokenizer_config.json with a chat template in it, and behind it special_tokens_map.json.
#include <cstddef>
#include <cstdint>

#include "common/check.h"
#include "model/chat_template.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  const FuzzInput input(data, size);
  PutFile("tokenizer_config.json", input.first);
  PutFile("special_tokens_map.json", input.rest.empty() ? "{}" : input.rest);
  const auto chat = ChatTemplate::Load(FuzzDirectory());
  if (!chat.ok()) {
    ATTUNE_CHECK(!chat.status().message().empty());
    return 0;
  }
  const auto text = (*chat)->Render(R"([{"role": "user", "content": "Hi"}])", true);
  ATTUNE_CHECK(text.ok() || !text.status().message().empty());
  return 0;
}
