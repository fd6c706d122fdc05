// One case of a file of recorded numbers, and its JSON as tensors. Accessors throw on what does not
// fit the schema (as the JSON library and LibTorch do); the runner catches it.
#ifndef ATTUNE_TESTS_GOLDEN_GOLDEN_CASE_H_
#define ATTUNE_TESTS_GOLDEN_GOLDEN_CASE_H_

#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace attune {

struct GoldenCase {
  std::string method;      // of its file
  size_t number = 0;       // in its file, from 0
  size_t step = 0;         // this many cases before it belong to the same run
  std::string dtype;       // the case's or the file's
  nlohmann::json inputs;   // common inputs, its own and the extra ones in one object
  nlohmann::json hparams;  // an object
  nlohmann::json outputs;  // wanted
  const std::vector<GoldenCase>* file = nullptr;  // all cases, for runs of steps
};

// What our code makes of a case: at least the keys of `outputs`, which are compared.
using Mapping = absl::StatusOr<nlohmann::json> (*)(const GoldenCase& golden);

bool Has(const nlohmann::json& object, const char* key);  // and not null
double NumberOr(const nlohmann::json& object, const char* key, double fallback);
bool FlagOr(const nlohmann::json& object, const char* key, bool fallback);
std::string TextOr(const nlohmann::json& object, const char* key, const char* fallback);

// float64, from numbers, booleans and "NaN", "Infinity", "-Infinity" in nested arrays.
at::Tensor TensorOf(const nlohmann::json& value);
// The same with gradients.
at::Tensor Leaf(const nlohmann::json& value);
// Undefined tensors become null.
nlohmann::json JsonOf(const at::Tensor& tensor);

// d(sum of value) / d(leaf), undefined if value does not depend on it. `value` can be
// differentiated again.
at::Tensor Gradient(const at::Tensor& value, const at::Tensor& leaf);

absl::Status NoMapping(const GoldenCase& golden, const char* key);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_GOLDEN_CASE_H_
