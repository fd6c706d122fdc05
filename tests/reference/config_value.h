// Values of a config.json, read the way Hugging Face's configuration classes take them.
#ifndef ATTUNE_TESTS_REFERENCE_CONFIG_VALUE_H_
#define ATTUNE_TESTS_REFERENCE_CONFIG_VALUE_H_

#include <string>

#include "nlohmann/json.hpp"

namespace attune {

// `fallback` where the key is missing or null. The value must be convertible to T.
template <typename T>
T ConfigValue(const nlohmann::json& config, const std::string& key, T fallback) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? fallback : found->get<T>();
}

// A field that null turns off: `missing` where there is no such key, `off` where it is null.
template <typename T>
T ConfigValueOrOff(const nlohmann::json& config, const std::string& key, T missing, T off) {
  const auto found = config.find(key);
  if (found == config.end()) return missing;
  return found->is_null() ? off : found->get<T>();
}

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_CONFIG_VALUE_H_
