// Policies on the shared file system, as the trainer reads and writes them.
#ifndef ATTUNE_WORKER_POLICY_FILES_H_
#define ATTUNE_WORKER_POLICY_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"

namespace attune {

struct PolicyWeights {
  ModelConfig config;
  std::vector<float> weights;  // in the order of WeightLayout
};

// The directory that is read: the checkpoint, or the model where there is none.
const std::string& DirectoryOf(const v1::PolicySource& source);

// INVALID_ARGUMENT: not a language model; DATA_LOSS: the weights have another digest than
// source.version, where that has one; and errors of LoadModelConfig and LoadWeights.
[[nodiscard]] absl::StatusOr<PolicyWeights> LoadPolicyWeights(const v1::PolicySource& source);

// Writes the checkpoint of the round to request.output_path, in place of what an earlier attempt
// left there.
absl::Status SavePolicy(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                        const std::string& digest);

// Writes the reference of the next round to request.reference_output_path alike: alpha policy +
// (1 - alpha) reference (TR-DPO) after every ref_model_sync_rounds rounds, else the reference as it
// is. Both are of one architecture.
absl::Status SaveMixedReference(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                                PolicyWeights& reference, std::string* digest);

}  // namespace attune

#endif  // ATTUNE_WORKER_POLICY_FILES_H_
