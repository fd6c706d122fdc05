// Hugging Face directories (config.json and safetensors) written and read without model/, so that
// a misunderstanding of the format there shows too. For tests: what cannot be read or written ends
// the process.
#ifndef ATTUNE_TESTS_REFERENCE_CHECKPOINT_H_
#define ATTUNE_TESTS_REFERENCE_CHECKPOINT_H_

#include <string>

#include "nlohmann/json.hpp"
#include "tests/reference/reference_model.h"

namespace attune {

// `dtype` is a safetensors name throughout: "F32", "BF16" or "F16".

// The nearest number that `dtype` can hold, ties to even. |x| must be within its finite range.
double RoundTo(const std::string& dtype, double x);

// Writes config.json and the tensors into the existing `directory`: as model.safetensors, or in
// `shards` files with model.safetensors.index.json. Values are rounded to `dtype`.
void WriteCheckpoint(const std::string& directory, const nlohmann::json& config,
                     const ReferenceTensors& tensors, const std::string& dtype = "F32",
                     int shards = 1);

// Of one model.safetensors.
ReferenceTensors ReadTensors(const std::string& directory);
nlohmann::json ReadJson(const std::string& path);

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_CHECKPOINT_H_
