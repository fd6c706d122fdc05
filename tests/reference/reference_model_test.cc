// The reference itself, against numbers that others computed: from here on it is believed.
#include "tests/reference/reference_model.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/reference/checkpoint.h"

namespace attune {
namespace {

using nlohmann::json;

const std::string kSource = ATTUNE_SOURCE_DIR;

double LogProbability(const std::vector<double>& logits, int32_t id) {
  double total = 0;
  for (double logit : logits) total += std::exp(logit - logits[0]);
  return logits[static_cast<size_t>(id)] - logits[0] - std::log(total);
}

// float64 log-probabilities of prompts and what follows them, given to nine decimals.
TEST(ReferenceModelTest, AgreesWithTorchInDoublePrecisionOnALlama) {
  const std::string directory = kSource + "/models/stories260k";
  const json config = ReadJson(directory + "/config.json");
  const ReferenceTensors tensors = ReadTensors(directory);
  const json expected = ReadJson(kSource + "/tests/data/stories260k_reference.json");
  for (const json& story : expected["cases"]) {
    auto ids = story["prompt_ids"].get<std::vector<int32_t>>();
    for (const json& id : story["greedy_new_ids"]) ids.push_back(id.get<int32_t>());
    const std::vector<std::vector<double>> logits = ReferenceLogits(config, tensors, ids);
    const json& logprobs = story["logprobs_of_ids_1_to_end"];
    ASSERT_EQ(ids.size() - 1, logprobs.size());
    for (size_t i = 0; i < logprobs.size(); ++i) {
      ASSERT_NEAR(logprobs[i].get<double>(), LogProbability(logits[i], ids[i + 1]), 2e-9)
          << story["text"] << " position " << i;
    }
  }
}

// Single-precision logits of a published model.
TEST(ReferenceModelTest, AgreesWithTheAuthorsOfAGpt2) {
  const std::string directory = kSource + "/tests/data/nanogpt-sort-gpt2";
  const json config = ReadJson(directory + "/config.json");
  const ReferenceTensors tensors = ReadTensors(directory);
  const json expected = ReadJson(directory + "/expected_logits.json");
  ASSERT_EQ(3u, expected["input_ids"].size());
  for (size_t sequence = 0; sequence < expected["input_ids"].size(); ++sequence) {
    const auto ids = expected["input_ids"][sequence].get<std::vector<int32_t>>();
    const auto wanted = expected["logits"][sequence].get<std::vector<std::vector<double>>>();
    const std::vector<std::vector<double>> logits = ReferenceLogits(config, tensors, ids);
    ASSERT_EQ(wanted.size(), logits.size());
    for (size_t t = 0; t < wanted.size(); ++t) {
      for (size_t i = 0; i < wanted[t].size(); ++i) {
        ASSERT_NEAR(wanted[t][i], logits[t][i], 1e-5) << "position " << t << " id " << i;
      }
    }
  }
}

}  // namespace
}  // namespace attune
