#include "model/config_reader.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/strict_json.h"

namespace attune {
namespace {

using Json = nlohmann::json;

constexpr size_t kShownBytesMax = 200;  // of a value in a message
constexpr double kNumberMin = 1e-20;    // their products and quotients stay finite in fp32
constexpr double kNumberMax = 1e20;

std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  return text.size() <= kShownBytesMax ? text : absl::StrCat(text.substr(0, kShownBytesMax), "...");
}

}  // namespace

absl::StatusOr<Json> ReadJsonObject(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  absl::StatusOr<Json> json = ParseStrictJson(bytes);
  if (json.ok() && !json->is_object()) json = absl::InvalidArgumentError("it is no JSON object");
  if (!json.ok()) return Annotate(json.status(), absl::StrCat("cannot use ", path));
  return json;
}

ConfigReader::ConfigReader(const Json* object, std::string prefix,
                           std::vector<std::string>* problems)
    : object_(object), prefix_(std::move(prefix)), problems_(problems) {}

bool ConfigReader::Has(absl::string_view name) const {
  return object_->contains(std::string(name));
}

const Json* ConfigReader::Find(absl::string_view name) const {
  const auto it = object_->find(std::string(name));
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

bool ConfigReader::IsOff(absl::string_view name) const {
  const Json* const value = Find(name);
  if (value == nullptr) return true;
  if (value->is_boolean()) return !value->get<bool>();
  if (value->is_number()) return value->get<double>() == 0;
  if (value->is_string()) return value->get_ref<const std::string&>().empty();
  return value->empty();
}

int64_t ConfigReader::Size(absl::string_view name, int64_t max, int64_t fallback) {
  if (!Has(name)) return fallback;
  const std::optional<int64_t> size = OptionalSize(name, max, fallback);
  if (!size.has_value()) Refuse(name, Json(), absl::StrCat("it must be from 1 to ", max));
  return size.value_or(fallback);
}

std::optional<int64_t> ConfigReader::OptionalSize(absl::string_view name, int64_t max,
                                                  std::optional<int64_t> fallback) {
  if (!Has(name)) return fallback;
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_unsigned() && value->get<uint64_t>() >= 1 &&
                    value->get<uint64_t>() <= static_cast<uint64_t>(max);
  if (fits) return value->get<int64_t>();
  Refuse(name, *value, absl::StrCat("it must be an integer from 1 to ", max));
  return fallback;
}

double ConfigReader::Number(absl::string_view name, double fallback) {
  return OptionalNumber(name, fallback).value_or(fallback);
}

std::optional<double> ConfigReader::OptionalNumber(absl::string_view name,
                                                   std::optional<double> fallback) {
  if (!Has(name)) return fallback;
  const Json* const value = Find(name);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : 0;
  if (number >= kNumberMin && number <= kNumberMax) return number;
  Refuse(name, *value, "it must be a positive number, 1e-20 to 1e20");
  return fallback;
}

bool ConfigReader::Bool(absl::string_view name, bool fallback) {
  if (!Has(name)) return fallback;
  const Json* const value = Find(name);
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  Refuse(name, *value, "it must be true or false");
  return fallback;
}

std::string ConfigReader::Text(absl::string_view name, absl::string_view fallback) {
  const Json* const value = Find(name);
  if (value == nullptr) return std::string(fallback);
  if (value->is_string()) return value->get<std::string>();
  Refuse(name, *value, "it must be a string");
  return std::string(fallback);
}

std::vector<int32_t> ConfigReader::TokenIds(absl::string_view name, std::vector<int32_t> fallback) {
  if (!Has(name)) return fallback;
  const Json* const value = Find(name);
  if (value == nullptr) return {};
  const Json list = value->is_array() ? *value : Json::array({*value});
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
      Refuse(name, *value, "it must be a token id or a list of them");
      return fallback;
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

void ConfigReader::Refuse(absl::string_view name, const Json& value, absl::string_view wanted) {
  problems_->push_back(absl::StrCat(prefix_, name, " is ", Shown(value), "; ", wanted));
}

void ConfigReader::Missing(absl::string_view name) {
  problems_->push_back(absl::StrCat(prefix_, name, " is missing"));
}

}  // namespace attune
