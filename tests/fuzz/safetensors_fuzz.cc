// A safetensors file, given whole, and given as its header (JSON) and values, so that the length in
// front is right whatever the header is.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "model/safetensors.h"
#include "tests/fuzz/fuzz_input.h"

namespace attune {
namespace {

void Open(absl::string_view bytes) {
  PutFile("x.safetensors", bytes);
  const auto file = SafetensorsFile::Open(JoinPath(FuzzDirectory(), "x.safetensors"));
  if (!file.ok()) {
    ATTUNE_CHECK(!file.status().message().empty());
    return;
  }
  for (const auto& [name, tensor] : (*file)->index()) {
    if (!tensor.type.has_value()) continue;
    const TensorView view = (*file)->View(tensor);
    float sum = 0;
    for (int64_t i = 0; i < tensor.size; ++i) sum += view.At(i);
    ATTUNE_CHECK(tensor.size > 0 || sum == 0);
  }
}

}  // namespace
}  // namespace attune

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  Open(absl::string_view(reinterpret_cast<const char*>(data), size));
  const FuzzInput input(data, size);
  const uint64_t header_bytes = input.first.size();
  char prefix[sizeof(header_bytes)];
  std::memcpy(prefix, &header_bytes, sizeof(prefix));
  Open(absl::StrCat(absl::string_view(prefix, sizeof(prefix)), input.first, input.rest));
  return 0;
}
