// A value of tokenizer.json that knows where it stands, so that a complaint can name the place:
//   pre_tokenizer.pretokenizers[1].behavior: expected a string, got 3
// All getters return INVALID_ARGUMENT instead of throwing. A null field counts as missing.
#ifndef ATTUNE_MODEL_TOKENIZER_TOKENIZER_JSON_H_
#define ATTUNE_MODEL_TOKENIZER_TOKENIZER_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace attune {

// Refers to a document that must outlive it.
class TokenizerJson {
 public:
  TokenizerJson(const nlohmann::json* value, std::string path);

  const std::string& path() const { return path_; }
  const nlohmann::json& value() const { return *value_; }
  bool IsMissing() const;  // absent or null

  // The field `name`; missing when this is not an object or has no such field.
  TokenizerJson Field(absl::string_view name) const;

  // The members of an array.
  [[nodiscard]] absl::StatusOr<std::vector<TokenizerJson>> Elements() const;

  [[nodiscard]] absl::StatusOr<std::string> AsString() const;
  [[nodiscard]] absl::StatusOr<bool> AsBool() const;
  // In 0 .. max.
  [[nodiscard]] absl::StatusOr<int64_t> AsInteger(int64_t max) const;
  // A string of exactly one character.
  [[nodiscard]] absl::StatusOr<char32_t> AsCharacter() const;

  // The same with a value for a missing field.
  [[nodiscard]] absl::StatusOr<std::string> AsStringOr(std::string fallback) const;
  [[nodiscard]] absl::StatusOr<bool> AsBoolOr(bool fallback) const;

  // INVALID_ARGUMENT "path: message".
  absl::Status Error(absl::string_view message) const;
  // For a component whose "type" is none of `supported`.
  absl::Status UnsupportedType(absl::string_view type, absl::string_view supported) const;

 private:
  absl::Status Expected(absl::string_view what) const;

  const nlohmann::json* value_;
  std::string path_;
};

// Sequences of components may be nested this deep.
inline constexpr int kSequenceDepthMax = 16;

// The steps of one component may together make a text this many times longer. Real files stay
// below 10; without a limit a small file could ask for any amount of memory.
inline constexpr double kTextGrowthMax = 10000;

// Counts the step `json`, which makes a text at most `factor` times longer, into `growth`, which
// begins at 1. INVALID_ARGUMENT over kTextGrowthMax.
absl::Status CountGrowth(const TokenizerJson& json, double factor, double* growth);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_TOKENIZER_JSON_H_
