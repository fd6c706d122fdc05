// Typed reading of the fields of a Hugging Face config.json. What is wrong with a field is noted
// with its name, its value and what is supported, and the field's default is returned, so that
// reading goes on and all problems of a file are told together.
#ifndef ATTUNE_MODEL_CONFIG_READER_H_
#define ATTUNE_MODEL_CONFIG_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attune {

// Above those of any published model, and so small that no product of them overflows.
inline constexpr int64_t kVocabularyMax = 1 << 24;
inline constexpr int64_t kWidthMax = 1 << 20;
inline constexpr int64_t kLayersMax = 1 << 12;
inline constexpr int64_t kHeadsMax = 1 << 12;
inline constexpr int64_t kHeadDimMax = 1 << 12;
inline constexpr int64_t kPositionsMax = 1 << 22;
inline constexpr int64_t kLabelsMax = 1 << 20;

// The file's object. Errors name the file and, where it is no JSON, the byte.
[[nodiscard]] absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path);

// Not thread-safe.
class ConfigReader {
 public:
  // `object`, a JSON object, and `problems` outlive the reader. `prefix` stands before the names of
  // fields in problems: "rope_scaling." for those inside rope_scaling.
  ConfigReader(const nlohmann::json* object, std::string prefix,
               std::vector<std::string>* problems);

  const nlohmann::json& object() const { return *object_; }
  std::vector<std::string>* problems() const { return problems_; }

  // Nullptr when the field is missing or null.
  const nlohmann::json* Find(absl::string_view name) const;
  // Missing, null, false, 0, "" or empty.
  bool IsOff(absl::string_view name) const;

  // Each returns `fallback` when the field is missing.
  int64_t Size(absl::string_view name, int64_t max, int64_t fallback);  // an integer, 1 to `max`
  double Number(absl::string_view name, double fallback);  // a positive one, 1e-20 to 1e20
  bool Bool(absl::string_view name, bool fallback);        // null is false, as in Python
  std::string Text(absl::string_view name, absl::string_view fallback);
  // The same for fields of which null means none.
  std::optional<int64_t> OptionalSize(absl::string_view name, int64_t max,
                                      std::optional<int64_t> fallback);
  std::optional<double> OptionalNumber(absl::string_view name, std::optional<double> fallback);
  // Token ids: one or a list.
  std::vector<int32_t> TokenIds(absl::string_view name, std::vector<int32_t> fallback);

  // Notes "name is value; wanted".
  void Refuse(absl::string_view name, const nlohmann::json& value, absl::string_view wanted);
  void Missing(absl::string_view name);

 private:
  bool Has(absl::string_view name) const;

  const nlohmann::json* const object_;
  const std::string prefix_;
  std::vector<std::string>* const problems_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_CONFIG_READER_H_
