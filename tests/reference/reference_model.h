// Decoder-only transformers written down a second time, slowly and in double precision, from what
// Hugging Face transformers computes (modeling_llama, _mistral, _qwen2, _qwen3, _phi3, _gemma,
// _gemma2, _gpt2). It shares nothing with the engine in model/, so that a misunderstanding there
// shows as a difference. For tests: input it cannot make sense of ends the process.
#ifndef ATTUNE_TESTS_REFERENCE_REFERENCE_MODEL_H_
#define ATTUNE_TESTS_REFERENCE_REFERENCE_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace attune {

struct ReferenceTensor {
  std::vector<int64_t> shape;
  std::vector<double> values;  // row-major
};
using ReferenceTensors = std::map<std::string, ReferenceTensor>;  // by Hugging Face name

// `config` is a config.json, `ids` (not empty) one sequence from position 0. One forward pass
// without a cache and without padding; logits after each position: [ids.size()][vocab_size].
std::vector<std::vector<double>> ReferenceLogits(const nlohmann::json& config,
                                                 const ReferenceTensors& tensors,
                                                 const std::vector<int32_t>& ids);

// What a *ForSequenceClassification gives for the sequence, from its last token: [labels].
std::vector<double> ReferenceScores(const nlohmann::json& config, const ReferenceTensors& tensors,
                                    const std::vector<int32_t>& ids);

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_REFERENCE_MODEL_H_
