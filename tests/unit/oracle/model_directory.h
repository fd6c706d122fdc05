// Hugging Face directories of tiny models with a tokenizer of one token for each ASCII character.
#ifndef ATTUNE_TESTS_UNIT_ORACLE_MODEL_DIRECTORY_H_
#define ATTUNE_TESTS_UNIT_ORACLE_MODEL_DIRECTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/files.h"
#include "nlohmann/json.hpp"
#include "tests/unit/model/tiny_model.h"

namespace attune {

// Printable ASCII from space on: ids 1 to 95; 0 is the end of a sequence.
inline std::vector<int32_t> TokensOf(absl::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(c - ' ' + 1);
  return ids;
}

inline absl::Status WriteTokenizer(const std::string& directory) {
  nlohmann::json vocab = {{"</s>", 0}};
  for (char c = ' '; c <= '~'; ++c) vocab[std::string(1, c)] = TokensOf(std::string(1, c))[0];
  const nlohmann::json tokenizer = {{"version", "1.0"},
                                    {"truncation", nullptr},
                                    {"padding", nullptr},
                                    {"added_tokens",
                                     {{{"id", 0},
                                       {"content", "</s>"},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", true}}}},
                                    {"normalizer", nullptr},
                                    {"pre_tokenizer", nullptr},
                                    {"post_processor", nullptr},
                                    {"decoder", {{"type", "Fuse"}}},
                                    {"model",
                                     {{"type", "BPE"},
                                      {"dropout", nullptr},
                                      {"unk_token", "</s>"},
                                      {"fuse_unk", false},
                                      {"byte_fallback", false},
                                      {"vocab", vocab},
                                      {"merges", nlohmann::json::array()}}}};
  return WriteFile(JoinPath(directory, "tokenizer.json"), tokenizer.dump());
}

// TinyConfig with weights of `seed`, and the tokenizer.
inline absl::Status WriteLanguageModel(const std::string& directory, uint64_t seed) {
  const ModelConfig config = TinyConfig(false);
  absl::Status status = WriteModel(directory, config, TinyWeights(config, seed));
  status.Update(WriteTokenizer(directory));
  return status;
}

inline ModelConfig ClassifierConfig(int64_t labels) {
  ModelConfig config = TinyConfig(true);
  config.num_labels = labels;
  return config;
}

// The same of a sequence classifier of the shape ClassifierConfig.
inline absl::Status WriteClassifier(const std::string& directory, int64_t labels, uint64_t seed) {
  const ModelConfig config = ClassifierConfig(labels);
  absl::Status status = WriteModel(directory, config, TinyWeights(config, seed));
  nlohmann::json fields = nlohmann::json::parse(ConfigJson(config));
  fields["architectures"] = {"LlamaForSequenceClassification"};
  fields["num_labels"] = labels;
  status.Update(WriteFile(JoinPath(directory, "config.json"), fields.dump()));
  status.Update(WriteTokenizer(directory));
  return status;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_ORACLE_MODEL_DIRECTORY_H_
