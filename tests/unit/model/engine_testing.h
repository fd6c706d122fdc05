// For tests of the engine: random requests, and the response to one by the slowest way.
#ifndef ATTUNE_TESTS_UNIT_MODEL_ENGINE_TESTING_H_
#define ATTUNE_TESTS_UNIT_MODEL_ENGINE_TESTING_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "model/engine.h"
#include "model/kernels.h"
#include "model/kv_cache.h"
#include "model/policy.h"
#include "model/sampler.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {

inline std::shared_ptr<const Policy> TinyPolicy(uint64_t seed, TensorType precision) {
  ModelConfig config = TinyConfig(seed % 2 == 0);
  config.max_position_embeddings = 150;
  config.eos_token_ids = {0, 7};
  return Policy::Create(config, TinyWeights(config, seed), precision).value();
}

// A prompt of up to 90 tokens, up to 4 samples of up to 50, options of all kinds.
inline EngineRequest RandomRequest(std::shared_ptr<const Policy> policy, uint64_t number) {
  const CounterRng rng({number, 77});
  uint64_t drawn = 0;
  const auto below = [&](double bound) { return rng.Uniform(drawn++) * bound; };
  EngineRequest request;
  request.policy = std::move(policy);
  const int64_t prompt = 1 + static_cast<int64_t>(below(90));
  for (int64_t i = 0; i < prompt; ++i) {
    request.prompt_ids.push_back(static_cast<int32_t>(below(101)));
  }
  const uint64_t samples = 1 + static_cast<uint64_t>(below(4));
  for (uint64_t i = 0; i < samples; ++i) {
    request.sample_keys.push_back(CounterRng({number, i}).key());
  }
  SamplingOptions& options = request.options;
  if (below(1) < 0.7) options.temperature = below(1) < 0.2 ? 0 : 0.2 + below(1.5);
  if (below(1) < 0.4) options.top_p = 0.1 + below(0.9);
  if (below(1) < 0.3) options.top_k = 1 + static_cast<int64_t>(below(60));
  if (below(1) < 0.3) options.min_p = below(0.3);
  if (below(1) < 0.3) options.repetition_penalty = 0.8 + below(1);
  options.max_new_tokens = 1 + static_cast<int64_t>(below(50));
  if (below(1) < 0.3) {
    options.min_new_tokens = static_cast<int64_t>(below(double(options.max_new_tokens)));
  }
  return request;
}

// Token by token, with nothing beside it.
inline Generation AloneResponse(const EngineRequest& request, size_t sample) {
  const Policy& policy = *request.policy;
  const ModelConfig& config = policy.config();
  const CounterRng rng(request.sample_keys[sample]);
  std::vector<float> logits(config.outputs());
  std::vector<int32_t> ids = request.prompt_ids;
  Generation response{.stop_reason = StopReason::kLength};
  KvCache cache;
  Sampler sampler;
  for (int64_t position = 0; position < config.max_position_embeddings; ++position) {
    const std::vector<float> state = policy.Forward({{&cache, position, ids[position], true}});
    if (position + 1 < static_cast<int64_t>(request.prompt_ids.size())) continue;
    policy.Logits(state.data(), 1, logits.data(), nullptr);
    const Draw draw = sampler.Next(logits, rng.Uniform(response.token_ids.size()), request.options,
                                   {request.prompt_ids, response.token_ids, config.eos_token_ids});
    response.token_ids.push_back(draw.token);
    response.logps.push_back(draw.logp);
    response.sampling_logps.push_back(draw.sampling_logp);
    ids.push_back(draw.token);
    if (std::count(config.eos_token_ids.begin(), config.eos_token_ids.end(), draw.token) > 0) {
      response.stop_reason = StopReason::kEndOfSequence;
      break;
    }
    if (static_cast<int64_t>(response.token_ids.size()) == request.options.max_new_tokens) break;
    if (static_cast<int64_t>(ids.size()) == config.max_position_embeddings) break;
  }
  return response;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_MODEL_ENGINE_TESTING_H_
