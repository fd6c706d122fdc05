// The mutations of libFuzzer for inputs that begin with JSON (tests/fuzz/fuzz_input.h). Changes of
// bytes hardly ever give JSON again; these change one value, so that most inputs get past the
// parser and meet the checks behind it. Every fourth is one of bytes all the same.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_input.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace attune {
namespace {

// Keeps the order of fields and is copied into the same text: nothing else changes.
using Json = nlohmann::ordered_json;
using Random = std::minstd_rand;

constexpr int kDepthMax = 100;  // of what is mutated; deeper inputs change by bytes alone

size_t Below(size_t end, Random* random) { return (*random)() % end; }

std::string MutatedBytes(std::string bytes, size_t extra) {
  const size_t size = bytes.size();
  bytes.resize(size + extra);
  uint8_t* const data = reinterpret_cast<uint8_t*>(bytes.data());
  bytes.resize(LLVMFuzzerMutate(data, size, bytes.size()));
  return bytes;
}

// The values of `root`, itself the first; false when they are nested too deep.
bool Collect(Json* root, int depth, std::vector<Json*>* values) {
  if (depth > kDepthMax) return false;
  values->push_back(root);
  if (!root->is_structured()) return true;
  for (Json& child : *root) {
    if (!Collect(&child, depth + 1, values)) return false;
  }
  return true;
}

std::vector<Json*> ValuesOf(Json* root) {
  std::vector<Json*> values;
  if (root->is_discarded() || !Collect(root, 0, &values)) values.clear();
  return values;
}

Json ParseJson(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

Json Peculiar(Random* random) {
  static const std::vector<Json>* const values =
      new std::vector<Json>{nullptr,
                            true,
                            false,
                            0,
                            1,
                            -1,
                            2,
                            7,
                            255,
                            65536,
                            2147483647,
                            2147483648u,
                            -2147483648,
                            std::numeric_limits<int64_t>::max(),
                            std::numeric_limits<int64_t>::min(),
                            std::numeric_limits<uint64_t>::max(),
                            0.5,
                            -0.0,
                            1e-320,
                            1e39,
                            -1e308,
                            "",
                            " ",
                            "a",
                            "\xEF\xBF\xBD",
                            Json::array(),
                            Json::object(),
                            Json::array({nullptr}),
                            Json::array({1, 1})};
  return (*values)[Below(values->size(), random)];
}

void ChangeScalar(Json* value, Random* random) {
  if (value->is_string()) {
    *value = MutatedBytes(value->get<std::string>(), 16);
  } else if (value->is_number_integer()) {
    const uint64_t number = value->get<uint64_t>();
    const uint64_t changed[] = {number + 1, number - 1, number * 2, number / 2,
                                number ^ (*random)()};
    *value = changed[Below(5, random)];
  } else {
    *value = Peculiar(random);
  }
}

void ChangeMembers(Json* value, const Json& other, Random* random) {
  const size_t index = Below(value->size() + 1, random);
  if (value->is_object()) {
    auto& members = value->get_ref<Json::object_t&>();
    const auto member = members.begin() + static_cast<ptrdiff_t>(std::min(index, members.size()));
    const size_t choice = Below(3, random);
    if (member == members.end() || choice == 0) {
      (*value)[MutatedBytes("", 24)] = other;
    } else if (choice == 1) {
      const std::string name = MutatedBytes(member->first, 16);
      const Json copy = member->second;
      members.erase(member);
      (*value)[name] = copy;
    } else {
      members.erase(member);
    }
  } else if (index < value->size() && Below(2, random) == 0) {
    value->erase(index);
  } else {
    value->insert(value->begin() + static_cast<ptrdiff_t>(index), other);
  }
}

void Change(const std::vector<Json*>& values, Random* random) {
  Json* const value = values[Below(values.size(), random)];
  const Json other = *values[Below(values.size(), random)];
  const size_t choice = Below(6, random);
  if (choice == 0) {
    *value = Peculiar(random);
  } else if (choice == 1) {
    *value = other;
  } else if (value->is_structured()) {
    ChangeMembers(value, other, random);
  } else {
    ChangeScalar(value, random);
  }
}

// 0 when it does not fit.
size_t Write(const Json& json, absl::string_view rest, uint8_t* out, size_t max_size) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (!rest.empty()) text = absl::StrCat(text, absl::string_view("\0", 1), rest);
  if (text.size() > max_size) return 0;
  std::memcpy(out, text.data(), text.size());
  return text.size();
}

size_t Mutate(uint8_t* data, size_t size, size_t max_size, Random* random) {
  if (Below(4, random) == 0) return LLVMFuzzerMutate(data, size, max_size);
  const FuzzInput input(data, size);
  Json json = ParseJson(input.first);
  const std::vector<Json*> values = ValuesOf(&json);
  if (values.empty()) return LLVMFuzzerMutate(data, size, max_size);
  std::string rest(input.rest);
  if (Below(4, random) == 0) {
    rest = MutatedBytes(rest, 16);
  } else {
    Change(values, random);
  }
  const size_t written = Write(json, rest, data, max_size);
  return written > 0 ? written : LLVMFuzzerMutate(data, size, max_size);
}

}  // namespace
}  // namespace attune

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  attune::Random random(seed);
  return attune::Mutate(data, size, max_size, &random);
}

// A value of the first input becomes one of the second.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t max_size, unsigned int seed) {
  using namespace attune;  // NOLINT
  Random random(seed);
  const FuzzInput input(data1, size1);
  Json to = ParseJson(input.first);
  Json from = ParseJson(FuzzInput(data2, size2).first);
  const std::vector<Json*> to_values = ValuesOf(&to);
  const std::vector<Json*> from_values = ValuesOf(&from);
  if (to_values.empty() || from_values.empty()) return 0;
  *to_values[Below(to_values.size(), &random)] = *from_values[Below(from_values.size(), &random)];
  return Write(to, input.rest, out, max_size);
}
