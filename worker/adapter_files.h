// The adapters of a job beside its checkpoints, in PEFT's files.
#ifndef ATTUNE_WORKER_ADAPTER_FILES_H_
#define ATTUNE_WORKER_ADAPTER_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"
#include "worker/lora.h"

namespace attune {

// What is kept of a domain once its last round is over (COFS-DPO).
struct LearnedDomain {
  std::vector<float> adapter;
  std::vector<v1::TrainingPair> pairs;
};

struct Adapters {
  LoraLayout layout;
  std::vector<float> fast;  // of the policy
  std::vector<float> slow;  // OFS-DPO alone
  bool swapped = false;     // the fast adapter is the one that learns at the slow one's rate
  std::vector<LearnedDomain> domains;  // in the order in which they were learned
  std::vector<double> domain_weights;  // of the adapters that `fast` is the combination of: theirs
                                       // and that of the domain of the round; written, not read
};

// As they are beside the checkpoint that the round begins from; where it begins from the model of
// the job, new ones. INVALID_ARGUMENT: training.lora does not fit the model; DATA_LOSS: the files
// are missing, damaged or of other adapters; names the file.
[[nodiscard]] absl::StatusOr<Adapters> LoadAdapters(const v1::TrainRoundRequest& request,
                                                    const ModelConfig& config);

// Writes into `directory`, the checkpoint:
//   adapter/       adapter_config.json and adapter_model.safetensors of the policy, for PEFT
//   adapter_slow/  alike, of the slow adapter
//   domains/K/     alike, of the K-th domain from 1, and its pairs as delimited TrainingPair
//   adapters.json  what else the next round has to know
// `model` is the directory of the base weights.
absl::Status SaveAdapters(const std::string& directory, const std::string& model,
                          const Adapters& adapters);

}  // namespace attune

#endif  // ATTUNE_WORKER_ADAPTER_FILES_H_
