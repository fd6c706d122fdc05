#include "tests/golden/golden_case.h"

#include <limits>
#include <stdexcept>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using nlohmann::json;

double NumberOf(const json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_string()) return value.get<double>();
  const std::string& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  throw std::invalid_argument(absl::StrCat("'", text, "' where a number should be"));
}

void Flatten(const json& value, std::vector<double>& numbers) {
  if (!value.is_array()) return numbers.push_back(NumberOf(value));
  for (const json& element : value) Flatten(element, numbers);
}

json Nested(const double*& next, at::IntArrayRef sizes) {
  if (sizes.empty()) return *next++;
  json result = json::array();
  for (int64_t i = 0; i < sizes[0]; ++i) result.push_back(Nested(next, sizes.slice(1)));
  return result;
}

}  // namespace

bool Has(const json& object, const char* key) {
  return object.contains(key) && !object.at(key).is_null();
}

double NumberOr(const json& object, const char* key, double fallback) {
  return Has(object, key) ? NumberOf(object.at(key)) : fallback;
}

bool FlagOr(const json& object, const char* key, bool fallback) {
  return Has(object, key) ? object.at(key).get<bool>() : fallback;
}

std::string TextOr(const json& object, const char* key, const char* fallback) {
  return Has(object, key) ? object.at(key).get<std::string>() : fallback;
}

at::Tensor TensorOf(const json& value) {
  std::vector<int64_t> sizes;
  for (const json* level = &value; level->is_array(); level = &level->front()) {
    sizes.push_back(static_cast<int64_t>(level->size()));
    if (level->empty()) break;
  }
  std::vector<double> numbers;
  Flatten(value, numbers);
  return at::tensor(numbers, at::kDouble).reshape(sizes);
}

at::Tensor Leaf(const json& value) { return TensorOf(value).set_requires_grad(true); }

json JsonOf(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous();
  const double* next = flat.data_ptr<double>();
  return Nested(next, flat.sizes());
}

at::Tensor Gradient(const at::Tensor& value, const at::Tensor& leaf) {
  leaf.mutable_grad() = at::Tensor();
  value.sum().backward({}, /*retain_graph=*/true);
  return leaf.grad().defined() ? leaf.grad().clone() : at::Tensor();
}

absl::Status NoMapping(const GoldenCase& golden, const char* key) {
  const std::string value = golden.hparams.contains(key) ? golden.hparams.at(key).dump() : "none";
  return absl::UnimplementedError(
      absl::StrCat("no mapping of ", golden.method, " for ", key, " ", value));
}

}  // namespace attune
