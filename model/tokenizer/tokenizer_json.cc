#include "model/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/tokenizer/utf8.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

const nlohmann::json& NullJson() {
  static const nlohmann::json* const null = new nlohmann::json();
  return *null;
}

// The value for a message, cut short.
std::string Shown(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  constexpr size_t kBytesMax = 40;
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() <= kBytesMax) return text;
  text.resize(kBytesMax);
  text.resize(kBytesMax - UnfinishedUtf8Bytes(text));
  return text + "...";
}

// Accepts everything and notes where the parser stops.
class SyntaxChecker : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    absl::string_view message = error.what();
    message.remove_prefix(std::min(message.find("] ") + 2, message.size()));
    error_ = absl::StrCat("not valid JSON: byte ", position, ": ", message);
    return false;
  }

  const std::string& error() const { return error_; }

 private:
  std::string error_;
};

// Whether more than kJsonNestingMax objects and arrays are open at any place of `text`.
bool IsNestedTooDeep(absl::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonNestingMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text) {
  // Copying and printing a value recurse into it.
  if (IsNestedTooDeep(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not valid JSON: objects and arrays are nested deeper than ", kJsonNestingMax));
  }
  nlohmann::json document =
      nlohmann::json::parse(text.begin(), text.end(), /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!document.is_discarded()) return document;
  SyntaxChecker checker;
  nlohmann::json::sax_parse(text.begin(), text.end(), &checker);
  return absl::InvalidArgumentError(checker.error());
}

TokenizerJson::TokenizerJson(const nlohmann::json* value, std::string path)
    : value_(value), path_(std::move(path)) {}

bool TokenizerJson::IsMissing() const { return value_->is_null(); }

TokenizerJson TokenizerJson::Field(absl::string_view name) const {
  std::string path = path_.empty() ? std::string(name) : absl::StrCat(path_, ".", name);
  if (value_->is_object()) {
    const auto field = value_->find(std::string(name));
    if (field != value_->end()) return {&*field, std::move(path)};
  }
  return {&NullJson(), std::move(path)};
}

absl::StatusOr<std::vector<TokenizerJson>> TokenizerJson::Elements() const {
  if (!value_->is_array()) return Expected("an array");
  std::vector<TokenizerJson> elements;
  elements.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    elements.emplace_back(&element, absl::StrCat(path_, "[", elements.size(), "]"));
  }
  return elements;
}

absl::StatusOr<std::string> TokenizerJson::AsString() const {
  if (!value_->is_string()) return Expected("a string");
  return value_->get_ref<const std::string&>();
}

absl::StatusOr<bool> TokenizerJson::AsBool() const {
  if (!value_->is_boolean()) return Expected("true or false");
  return value_->get<bool>();
}

absl::StatusOr<int64_t> TokenizerJson::AsInteger(int64_t max) const {
  if (value_->is_number_unsigned() && value_->get<uint64_t>() <= static_cast<uint64_t>(max)) {
    return value_->get<int64_t>();
  }
  return Expected(absl::StrCat("a whole number from 0 to ", max));
}

absl::StatusOr<char32_t> TokenizerJson::AsCharacter() const {
  if (value_->is_string()) {
    const std::string& text = value_->get_ref<const std::string&>();
    size_t end = 0;
    const char32_t character = text.empty() ? 0 : NextCodePoint(text, &end);
    if (!text.empty() && end == text.size()) return character;
  }
  return Expected("a string of one character");
}

absl::StatusOr<std::string> TokenizerJson::AsStringOr(std::string fallback) const {
  if (IsMissing()) return fallback;
  return AsString();
}

absl::StatusOr<bool> TokenizerJson::AsBoolOr(bool fallback) const {
  if (IsMissing()) return fallback;
  return AsBool();
}

absl::Status TokenizerJson::Error(absl::string_view message) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", message));
}

absl::Status TokenizerJson::UnsupportedType(absl::string_view type,
                                            absl::string_view supported) const {
  return Error(absl::StrCat("component '", type, "' is not supported; supported are ", supported));
}

absl::Status TokenizerJson::Expected(absl::string_view what) const {
  if (IsMissing()) return Error(absl::StrCat("missing; expected ", what));
  return Error(absl::StrCat("expected ", what, ", got ", Shown(*value_)));
}

absl::Status CountGrowth(const TokenizerJson& json, double factor, double* growth) {
  *growth *= std::max(factor, 1.0);
  if (*growth <= kTextGrowthMax) return absl::OkStatus();
  return json.Error(absl::StrCat("could make a text ", *growth,
                                 " times longer, with the steps before it; the limit is ",
                                 kTextGrowthMax));
}

}  // namespace attune
