#include "model/inspect_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;
using Row = std::vector<std::string>;

std::string Thousands(const Json& number) {
  std::string digits = absl::StrCat(number.get<int64_t>());
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string Bytes(const Json& bytes) {
  if (bytes.is_null()) return "-";
  auto size = bytes.get<double>();
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(units); ++unit) size /= 1024;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, size, units[unit]);
}

std::string Quoted(const Json& text) {
  return text.is_null() ? "none" : text.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "name", padded, and the value; a line.
std::string Line(const std::string& name, const std::string& value) {
  return absl::StrFormat("  %-20s %s\n", name, value);
}

// The rows in columns set to the right, two blanks apart; the first is the header.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows[0].size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&text, "  ", std::string(widths[i] - row[i].size(), ' '), row[i]);
    }
    text += "\n";
  }
  return text;
}

std::string HeadText(const Json& architecture) {
  const std::string head = architecture["head"];
  if (head == "tied") return "tied to the embeddings";
  if (head == "score")
    return absl::StrCat("score, ", Thousands(architecture["num_labels"]), " labels");
  return "lm_head";
}

std::string ArchitectureText(const Json& architecture) {
  if (architecture.is_null()) return "";
  const auto number = [&](const char* name) { return Thousands(architecture[name]); };
  std::string type = architecture["model_type"];
  if (const Json& name = architecture["class"]; !name.is_null()) {
    absl::StrAppend(&type, ", ", name.get<std::string>());
  }
  std::string positions = architecture["positions"];
  if (architecture.contains("window")) {
    absl::StrAppend(&positions, "; ", number("layers_with_window"), " layers attend to the last ",
                    number("window"), " tokens");
  }
  std::vector<std::string> eos;
  for (const Json& id : architecture["eos_token_ids"]) eos.push_back(Thousands(id));
  return absl::StrCat(
      "Architecture\n", Line("model type", type), Line("layers", number("num_layers")),
      Line("attention heads", absl::StrCat(number("num_heads"), " of ", number("head_dim"),
                                           ", keys and values ", number("num_kv_heads"))),
      Line("hidden size",
           absl::StrCat(number("hidden_size"), ", within the MLP ", number("intermediate_size"))),
      Line("vocabulary", number("vocab_size")),
      Line("context", absl::StrCat(number("max_position_embeddings"), " tokens")),
      Line("positions", positions), Line("head", HeadText(architecture)),
      Line("end of sequence", eos.empty() ? "none" : absl::StrJoin(eos, ", ")));
}

std::string ParametersText(const Json& parameters) {
  if (parameters.is_null()) return "";
  return absl::StrCat("Parameters\n", Line("total", Thousands(parameters["total"])),
                      Line("embeddings and head", Thousands(parameters["embeddings"])),
                      Line("others", Thousands(parameters["without_embeddings"])));
}

std::string FilesText(const Json& files) {
  if (files.is_null()) return "";
  std::vector<std::string> types;
  for (const auto& [type, count] : files["tensors"].items()) {
    types.push_back(absl::StrCat(type, " (", Thousands(count), " tensors)"));
  }
  const std::string shards = Thousands(files["shards"]);
  return absl::StrCat("Weights\n",
                      Line("stored as", types.empty() ? "unknown" : absl::StrJoin(types, ", ")),
                      Line("on disk", absl::StrCat(Bytes(files["bytes"]), " in ", shards,
                                                   shards == "1" ? " file" : " files")));
}

std::string SamplingText(const Json& sampling) {
  if (sampling.is_null()) return "";
  const Json& weights = sampling["weights_bytes"];
  return absl::StrCat(
      "Memory to sample\n", Line("weights as stored", Bytes(weights["stored"])),
      Line("in fp32", Bytes(weights["fp32"])), Line("in bf16", Bytes(weights["bf16"])),
      Line("keys and values",
           absl::StrCat(Bytes(sampling["kv_cache_bytes_per_token"]), " a token, ",
                        Bytes(sampling["kv_cache_bytes_full_context"]), " for a full context")));
}

std::string TrainingText(const Json& training) {
  if (training.is_null()) return "";
  std::vector<Row> rows = {{"zero_stage", "ranks", "weights", "gradients", "optimizer", "published",
                            "total", "in bf16"}};
  for (const Json& row : training) {
    const Json& fp32 = row["fp32"];
    rows.push_back({absl::StrCat(row["zero_stage"].get<int>(), row["available"] ? "" : "*"),
                    Thousands(row["ranks"]), Bytes(fp32["weights_bytes"]),
                    Bytes(fp32["gradients_bytes"]), Bytes(fp32["optimizer_bytes"]),
                    Bytes(fp32["published_bytes"]), Bytes(fp32["total_bytes"]),
                    Bytes(row["bf16"]["total_bytes"])});
  }
  return absl::StrCat("Memory to train, each rank (without activations)\n", Table(rows),
                      "  * a stage that the trainer does not have yet\n");
}

std::string TokenizerText(const Json& tokenizer) {
  if (tokenizer.is_null()) return "";
  std::vector<std::string> special;
  for (const auto& [name, token] : tokenizer["special_tokens"].items()) {
    if (!token.is_null()) special.push_back(absl::StrCat(name, " ", Quoted(token)));
  }
  const Json& size = tokenizer["vocab_size"];
  const Json& kind = tokenizer["kind"];
  return absl::StrCat(
      "Tokenizer\n", Line("kind", kind.is_null() ? "unknown" : kind.get<std::string>()),
      Line("vocabulary", size.is_null() ? "unknown" : Thousands(size)),
      Line("added tokens", Thousands(tokenizer["added_tokens"])),
      Line("special tokens", special.empty() ? "none named" : absl::StrJoin(special, ", ")),
      Line("chat template", tokenizer["chat_template"]));
}

std::string ListText(const std::string& title, const Json& lines) {
  if (lines.empty()) return "";
  std::string text = absl::StrCat(title, "\n");
  for (const Json& line : lines) absl::StrAppend(&text, "  ", line.get<std::string>(), "\n");
  return text;
}

}  // namespace

std::string InspectionText(const Json& report) {
  const std::string sections[] = {ArchitectureText(report["architecture"]),
                                  ParametersText(report["parameters"]),
                                  FilesText(report["files"]),
                                  SamplingText(report["sampling"]),
                                  TrainingText(report["training"]),
                                  TokenizerText(report["tokenizer"]),
                                  ListText("Notes", report["notes"]),
                                  ListText("Problems", report["problems"])};
  std::string text = absl::StrCat(report["model"].get<std::string>(), ": ",
                                  report["usable"] ? "can be used" : "cannot be used", "\n");
  for (const std::string& section : sections) {
    if (!section.empty()) absl::StrAppend(&text, "\n", section);
  }
  return text;
}

}  // namespace attune
