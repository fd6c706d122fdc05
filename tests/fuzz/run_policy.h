// A model that was accepted must run.
#ifndef ATTUNE_TESTS_FUZZ_RUN_POLICY_H_
#define ATTUNE_TESTS_FUZZ_RUN_POLICY_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/policy.h"

namespace attune {

inline void RunPolicy(const Policy& policy) {
  const ModelConfig& config = policy.config();
  KvCache cache;
  std::vector<PolicyRow> rows;
  for (int64_t i = 0; i < std::min<int64_t>(4, config.max_position_embeddings); ++i) {
    rows.push_back({&cache, i, static_cast<int32_t>(i % config.vocab_size), true});
  }
  const std::vector<float> hidden = policy.Forward(rows);
  std::vector<float> logits(rows.size() * config.outputs());
  policy.Logits(hidden.data(), static_cast<int64_t>(rows.size()), logits.data());
}

}  // namespace attune

#endif  // ATTUNE_TESTS_FUZZ_RUN_POLICY_H_
