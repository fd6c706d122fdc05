// tokenizer.json, and behind it a text to encode and decode.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/check.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/utf8.h"
#include "tests/fuzz/fuzz_input.h"

namespace attune {
namespace {

// Regular expressions may take a time that grows exponentially with the text, as they do in the
// library.
constexpr size_t kTextBytesMax = 64;

void Use(const Tokenizer& tokenizer, absl::string_view text) {
  const absl::string_view prompt = text.substr(0, text.size() / 2);
  const absl::string_view completion = text.substr(prompt.size());
  for (const bool special : {false, true}) {
    const std::vector<int32_t> ids = tokenizer.Encode(text, special);
    for (const int32_t id : ids) ATTUNE_CHECK(id >= 0 && id < tokenizer.vocab_size());
    ATTUNE_CHECK(IsValidUtf8(tokenizer.Decode(ids, special)));
    const std::vector<int32_t> prompt_ids = tokenizer.Encode(prompt, special);
    const std::vector<int32_t> completion_ids =
        EncodeCompletion(tokenizer, prompt, prompt_ids, completion);
    const std::vector<int32_t> eos_ids = {ids.empty() ? 0 : ids.back()};
    ATTUNE_CHECK(IsValidUtf8(DecodeCompletion(tokenizer, prompt_ids, completion_ids, eos_ids)));
  }
  const std::vector<int32_t> outside = {-1, 0, static_cast<int32_t>(tokenizer.vocab_size()),
                                        INT32_MAX, INT32_MIN};
  ATTUNE_CHECK(IsValidUtf8(tokenizer.Decode(outside, /*skip_special_tokens=*/false)));
}

}  // namespace
}  // namespace attune

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  const FuzzInput input(data, size);
  PutFile("tokenizer.json", input.first);
  const auto tokenizer = Tokenizer::Load(FuzzDirectory());
  if (tokenizer.ok()) {
    Use(**tokenizer, input.rest.substr(0, kTextBytesMax));
  } else {
    ATTUNE_CHECK(!tokenizer.status().message().empty());
  }
  return 0;
}
