// The shipped model, and a second policy of the same shape, for tests.
#ifndef ATTUNE_TESTS_UNIT_ROLLOUT_SMALL_MODEL_H_
#define ATTUNE_TESTS_UNIT_ROLLOUT_SMALL_MODEL_H_

#include <string>
#include <utility>
#include <vector>

#include "attune/v1/types.pb.h"
#include "common/check.h"
#include "model/model_config.h"
#include "model/policy.h"
#include "model/weights.h"

namespace attune {

inline const std::string kModelPath = ATTUNE_SOURCE_DIR "/models/stories260k";

struct SmallModel {
  ModelConfig config;
  std::vector<float> weights;
  std::string digest;
};

// The weights of kModelPath, each multiplied by `scale`: 1 is the model, anything else a policy
// that differs from it.
inline SmallModel MakeSmallModel(float scale) {
  auto config = LoadModelConfig(kModelPath);
  ATTUNE_CHECK(config.ok());
  auto weights = LoadWeights(kModelPath, *config);
  ATTUNE_CHECK(weights.ok());
  for (float& weight : *weights) weight *= scale;
  SmallModel model{*std::move(config), *std::move(weights), ""};
  model.digest = WeightsDigest(WeightLayout(model.config), model.weights);
  return model;
}

// The final hidden state of one position: it tells policies of different weights apart.
inline std::vector<float> StateOf(const Policy& policy) {
  KvCache cache;
  return policy.Forward({PolicyRow{&cache, 0, 1, true}});
}

// Whether `policy` computes, to the bit, what one of the weights of `model` does.
inline bool IsPolicyOf(const SmallModel& model, const Policy& policy,
                       TensorType precision = TensorType::kF32) {
  const auto expected = Policy::Create(model.config, model.weights, precision);
  ATTUNE_CHECK(expected.ok());
  return StateOf(policy) == StateOf(**expected);
}

// Where a worker finds `model` as the policy of `round`: nowhere yet, but for round 0.
inline v1::PolicySource SourceOf(const SmallModel& model, uint32_t round) {
  v1::PolicySource source;
  source.mutable_version()->set_round(round);
  source.mutable_version()->set_digest(model.digest);
  source.set_model_path(kModelPath);
  return source;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_ROLLOUT_SMALL_MODEL_H_
