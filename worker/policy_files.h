// Policies on the shared file system, as the trainer reads and writes them.
#ifndef ATTUNE_WORKER_POLICY_FILES_H_
#define ATTUNE_WORKER_POLICY_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"
#include "worker/adapter_files.h"

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

// The same of a reward model, a sequence classifier with one label. A language model becomes one:
// its own head goes, and score.weight is drawn from a normal distribution of standard deviation
// 1 / sqrt(hidden_size + 1), a function of `seed` alone. Where it names no padding token, the first
// end-of-sequence token is taken, as is usual. INVALID_ARGUMENT: a classifier with more labels.
[[nodiscard]] absl::StatusOr<PolicyWeights> LoadRewardModel(const v1::PolicySource& source,
                                                            uint64_t seed);

// What a round with adapters begins with: the weights that they are of, which are those of the
// model of the job, and the adapters. DATA_LOSS: merged they are not the policy of source.version;
// and errors of LoadPolicyWeights and LoadAdapters.
struct AdaptedPolicy {
  PolicyWeights base;
  Adapters adapters;
};
[[nodiscard]] absl::StatusOr<AdaptedPolicy> LoadAdaptedPolicy(const v1::TrainRoundRequest& request);

// Writes the checkpoint of the round to request.output_path, in place of what an earlier attempt
// left there, and the adapters, if any, in it.
absl::Status SavePolicy(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                        const std::string& digest, const Adapters* adapters = nullptr);

// Writes the reference of the next round to request.reference_output_path alike: alpha policy +
// (1 - alpha) reference (TR-DPO) after every ref_model_sync_rounds rounds, else the reference as it
// is. Both are of one architecture.
absl::Status SaveMixedReference(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                                PolicyWeights& reference, std::string* digest);

}  // namespace attune

#endif  // ATTUNE_WORKER_POLICY_FILES_H_
