// The shipped model and the recorded DPO runs on it (torch, float64), for tests of the trainer.
#ifndef ATTUNE_TESTS_UNIT_WORKER_REFERENCE_RUNS_H_
#define ATTUNE_TESTS_UNIT_WORKER_REFERENCE_RUNS_H_

#include <fstream>
#include <string>
#include <vector>

#include "common/check.h"
#include "model/model_config.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"

namespace attune {

inline const std::string kModelPath = ATTUNE_SOURCE_DIR "/models/stories260k";

inline nlohmann::json ReadTestData(const std::string& name) {
  std::ifstream in(std::string(ATTUNE_SOURCE_DIR "/tests/data/") + name);
  ATTUNE_CHECK(in.good());
  return nlohmann::json::parse(in);
}

inline const nlohmann::json& ReferenceRuns() {
  static const auto& runs = *new nlohmann::json(ReadTestData("dpo_stories260k.json"));
  return runs;
}

inline ModelConfig TestConfig() { return LoadModelConfig(kModelPath).value(); }

inline std::vector<float> TestWeights() { return LoadWeights(kModelPath, TestConfig()).value(); }

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_WORKER_REFERENCE_RUNS_H_
