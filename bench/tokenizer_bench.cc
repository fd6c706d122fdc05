// Speed of a tokenizer on a text, after checking that it is right.
//
//   tokenizer_bench MODEL_DIRECTORY TEXT_FILE [GOLDEN_FILE]
//
// The text is taken in two ways: each line as a document, and all of it as one. GOLDEN_FILE says
// what the ids must be: {"cases": [{"text", "ids", "decoded_with_special"}, ...]}. Time is that of
// the processor, of one thread.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/measure.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

constexpr int kRuns = 7;

using Ids = std::vector<int32_t>;

void PrintRow(const char* what, const char* documents, const char* state, double bytes,
              double tokens, double seconds) {
  std::printf("%-8s %-10s %-6s %10.2f %12.3f\n", what, documents, state, bytes / seconds / 1e6,
              tokens / seconds / 1e6);
}

absl::Status CheckGolden(const Tokenizer& tokenizer, const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const nlohmann::json golden =
      nlohmann::json::parse(bytes, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!golden.is_object() || !golden["cases"].is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a JSON object with 'cases'"));
  }
  for (const nlohmann::json& one : golden["cases"]) {
    const std::string text = one["text"];
    const Ids expected = one["ids"];
    if (tokenizer.Encode(text, /*add_special_tokens=*/true) != expected ||
        tokenizer.Decode(expected, /*skip_special_tokens=*/false) != one["decoded_with_special"]) {
      return absl::InternalError(absl::StrCat("differs from ", path, ": '", text, "'"));
    }
  }
  std::printf("%s: all %zu texts agree\n", path.c_str(), golden["cases"].size());
  return absl::OkStatus();
}

// Texts whose ids spell them again. Tokenizers that normalise do not give back every text, but
// encode what they gave back to the same ids.
absl::Status CheckRoundTrip(const Tokenizer& tokenizer,
                            const std::vector<absl::string_view>& documents) {
  for (const absl::string_view text : documents) {
    const Ids ids = tokenizer.Encode(text, /*add_special_tokens=*/false);
    const std::string decoded = tokenizer.Decode(ids, /*skip_special_tokens=*/false);
    if (decoded == text) continue;
    if (tokenizer.Encode(decoded, /*add_special_tokens=*/false) == ids) continue;
    return absl::InternalError(absl::StrCat("'", text, "' decodes to '", decoded, "'"));
  }
  return absl::OkStatus();
}

double EncodeSeconds(const Tokenizer& tokenizer, const std::vector<absl::string_view>& documents,
                     std::vector<Ids>* ids) {
  ids->clear();
  const double start = ProcessorSeconds();
  for (const absl::string_view text : documents) {
    ids->push_back(tokenizer.Encode(text, /*add_special_tokens=*/false));
  }
  return ProcessorSeconds() - start;
}

double DecodeSeconds(const Tokenizer& tokenizer, const std::vector<Ids>& documents, double* bytes) {
  *bytes = 0;
  const double start = ProcessorSeconds();
  for (const Ids& ids : documents) {
    *bytes += static_cast<double>(tokenizer.Decode(ids, /*skip_special_tokens=*/false).size());
  }
  return ProcessorSeconds() - start;
}

absl::Status Measure(const std::string& directory, const char* name,
                     const std::vector<absl::string_view>& documents) {
  double bytes = 0;
  for (const absl::string_view text : documents) bytes += static_cast<double>(text.size());
  // A tokenizer of its own: the first pass finds no word that it has met before.
  ATTUNE_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(directory));
  std::vector<Ids> ids;
  const double first_seconds = EncodeSeconds(*tokenizer, documents, &ids);
  double tokens = 0;
  for (const Ids& one : ids) tokens += static_cast<double>(one.size());
  PrintRow("encode", name, "first", bytes, tokens, first_seconds);
  std::vector<double> encode_seconds;
  std::vector<double> decode_seconds;
  double decoded_bytes = 0;
  for (int run = 0; run < kRuns; ++run) {
    encode_seconds.push_back(EncodeSeconds(*tokenizer, documents, &ids));
    decode_seconds.push_back(DecodeSeconds(*tokenizer, ids, &decoded_bytes));
  }
  PrintRow("encode", name, "again", bytes, tokens, Median(encode_seconds));
  PrintRow("decode", name, "again", decoded_bytes, tokens, Median(decode_seconds));
  return absl::OkStatus();
}

absl::Status Run(const std::string& directory, const std::string& text_path,
                 const std::string& golden_path) {
  const double start = ProcessorSeconds();
  ATTUNE_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(directory));
  const double load_seconds = ProcessorSeconds() - start;
  if (!golden_path.empty()) ATTUNE_RETURN_IF_ERROR(CheckGolden(*tokenizer, golden_path));
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadFile(text_path));
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  ATTUNE_RETURN_IF_ERROR(CheckRoundTrip(*tokenizer, lines));
  std::printf("%s: %zu bytes in %zu lines; loaded %s in %.3f s\n", text_path.c_str(), text.size(),
              lines.size(), directory.c_str(), load_seconds);
  std::printf("%-8s %-10s %-6s %10s %12s\n", "what", "documents", "pass", "MB/s", "Mtokens/s");
  ATTUNE_RETURN_IF_ERROR(Measure(directory, "lines", lines));
  return Measure(directory, "whole", {text});
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
#ifndef __OPTIMIZE__
  std::fprintf(stderr, "tokenizer_bench: built without optimisation; do not quote these figures\n");
#endif
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: tokenizer_bench MODEL_DIRECTORY TEXT_FILE [GOLDEN_FILE]\n");
    return 2;
  }
  const absl::Status status = attune::Run(argv[1], argv[2], argc == 4 ? argv[3] : "");
  if (!status.ok()) {
    std::fprintf(stderr, "tokenizer_bench: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
