#include "model/tokenizer/tokenizer_json.h"

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

}  // namespace

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
