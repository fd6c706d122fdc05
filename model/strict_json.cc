#include "model/strict_json.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using Json = nlohmann::json;

// Looks at a document without keeping it, and stops at the first thing wrong.
class Checker : public nlohmann::json_sax<Json> {
 public:
  const std::string& problem() const { return problem_; }
  size_t position() const { return position_; }  // of a syntax error, else 0; counts from 1

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    if (names_.back().insert(name).second) return true;
    problem_ = absl::StrCat("the name \"", name, "\" stands twice in an object");
    return false;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem_ = "it is not JSON";
    position_ = std::max<size_t>(position, 1);
    return false;
  }

 private:
  bool Enter() {
    names_.emplace_back();
    if (names_.size() <= kJsonDepthMax) return true;
    problem_ = absl::StrCat("objects and arrays are nested deeper than ", kJsonDepthMax);
    return false;
  }
  bool Leave() {
    names_.pop_back();
    return true;
  }

  // Of each object that is open; empty for an array.
  std::vector<absl::flat_hash_set<std::string>> names_;
  std::string problem_;
  size_t position_ = 0;
};

}  // namespace

absl::StatusOr<Json> ParseStrictJson(absl::string_view bytes, uint64_t offset) {
  Checker checker;
  if (!Json::sax_parse(bytes, &checker)) {
    if (checker.position() == 0) return absl::InvalidArgumentError(checker.problem());
    const size_t place = std::min(checker.position() - 1, bytes.size());
    return absl::InvalidArgumentError(
        absl::StrCat(checker.problem(), ": syntax error at byte ", offset + place));
  }
  return Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
}

}  // namespace attune
