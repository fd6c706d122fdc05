// config.json, and behind it generation_config.json. A model that is accepted must run: with
// made-up weights, if they are few.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/check.h"
#include "model/layout.h"
#include "model/model_config.h"
#include "model/policy.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/run_policy.h"

namespace attune {
namespace {

// A config of a few bytes can ask for any amount of memory; what is run here is small.
constexpr int64_t kLayersMax = 8;
constexpr int64_t kWeightsMax = 1 << 16;

void Run(const ModelConfig& config) {
  if (config.num_layers > kLayersMax) return;
  const int64_t count = WeightCount(WeightLayout(config));
  if (count > kWeightsMax) return;
  std::vector<float> weights(count);
  for (int64_t i = 0; i < count; ++i) weights[i] = static_cast<float>(i % 7 - 3) / 8;
  const auto policy = Policy::Create(config, weights);
  ATTUNE_CHECK(policy.ok());
  RunPolicy(**policy);
}

}  // namespace
}  // namespace attune

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune;  // NOLINT
  const FuzzInput input(data, size);
  PutFile("config.json", input.first);
  PutFile("generation_config.json", input.rest.empty() ? "{}" : input.rest);
  const auto config = LoadModelConfig(FuzzDirectory());
  if (config.ok()) {
    Run(*config);
  } else {
    ATTUNE_CHECK(!config.status().message().empty());
  }
  return 0;
}
