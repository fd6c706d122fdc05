// A whole model directory, given as one JSON object from file names to what is in the files. A
// .safetensors file is given by its header alone; its values are zeros, as many as the header
// needs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "model/policy.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/run_policy.h"

namespace attune {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kValueBytesMax = 1 << 16;

bool IsFileName(absl::string_view name) {
  return !name.empty() && name.size() < 64 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_';
         });
}

uint64_t ValueBytes(const Json& header) {
  uint64_t bytes = 0;
  for (const Json& entry : header) {
    if (!entry.is_object()) continue;
    const Json offsets = entry.value("data_offsets", Json());
    if (!offsets.is_array()) continue;
    for (const Json& offset : offsets) {
      if (offset.is_number_unsigned()) bytes = std::max(bytes, offset.get<uint64_t>());
    }
  }
  return std::min(bytes, kValueBytesMax);
}

std::string Content(const std::string& name, const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (!absl::EndsWith(name, ".safetensors")) return text;
  const uint64_t header_bytes = text.size();
  std::string file(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  absl::StrAppend(&file, text, std::string(ValueBytes(value), '\0'));
  return file;
}

}  // namespace
}  // namespace attune

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  const Json files = Json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  if (!files.is_object()) return 0;
  ATTUNE_CHECK(RemoveAll(JoinPath(FuzzDirectory(), "model")).ok());
  ATTUNE_CHECK(CreateDirectories(JoinPath(FuzzDirectory(), "model")).ok());
  for (const auto& [name, value] : files.items()) {
    if (IsFileName(name)) PutFile(JoinPath("model", name), Content(name, value));
  }
  const auto policy = Policy::Load(JoinPath(FuzzDirectory(), "model"));
  if (policy.ok()) {
    RunPolicy(**policy);
  } else {
    ATTUNE_CHECK(!policy.status().message().empty());
  }
  return 0;
}
