#include "worker/policy_files.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"
#include "worker/objectives/combination.h"
#include "worker/train_round.h"

namespace attune {
namespace {

// An earlier attempt may have left the same directory; it goes first.
absl::Status Save(const std::string& path, const v1::TrainRoundRequest& request,
                  const PolicyWeights& policy, const nlohmann::json& manifest) {
  ATTUNE_RETURN_IF_ERROR(RemoveAll(path));
  return Annotate(SaveCheckpoint(path, request.input().model_path(), policy.config,
                                 policy.weights, manifest.dump(2) + "\n"),
                  absl::StrCat("while saving ", path, " of round ", request.round()));
}

at::Tensor ViewOf(const std::vector<float>& weights) {  // which is not written to
  return at::from_blob(const_cast<float*>(weights.data()), static_cast<int64_t>(weights.size()));
}

}  // namespace

const std::string& DirectoryOf(const v1::PolicySource& source) {
  return source.checkpoint_path().empty() ? source.model_path() : source.checkpoint_path();
}

absl::StatusOr<PolicyWeights> LoadPolicyWeights(const v1::PolicySource& source) {
  const std::string& directory = DirectoryOf(source);
  PolicyWeights policy;
  ATTUNE_ASSIGN_OR_RETURN(policy.config, LoadModelConfig(directory));
  if (policy.config.num_labels > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot train ", directory, ": it is a sequence classifier with ",
                     policy.config.num_labels, " labels, not a language model"));
  }
  ATTUNE_ASSIGN_OR_RETURN(policy.weights, LoadWeights(directory, policy.config));
  const std::string& expected = source.version().digest();
  if (expected.empty()) return policy;
  const std::string digest = WeightsDigest(WeightLayout(policy.config), policy.weights);
  if (digest != expected) {
    return absl::DataLossError(absl::StrCat("the weights in ", directory, " have digest ", digest,
                                            ", the policy of round ", source.version().round(),
                                            " has ", expected));
  }
  return policy;
}

absl::Status SavePolicy(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                        const std::string& digest) {
  const nlohmann::json manifest = {{"job", request.job()},
                                   {"round", request.round()},
                                   {"parent_digest", request.input().version().digest()},
                                   {"digest", digest},
                                   {"steps", UpdatesOfRound(request)},
                                   {"pairs", request.pairs()}};
  return Save(request.output_path(), request, policy, manifest);
}

absl::Status SaveMixedReference(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                                PolicyWeights& reference, std::string* digest) {
  ATTUNE_CHECK(policy.weights.size() == reference.weights.size());
  const double alpha = request.objective().ref_model_mixup_alpha();
  if (request.round() % request.objective().ref_model_sync_rounds() == 0) {
    const at::Tensor mixed =
        MixedReference(ViewOf(policy.weights), ViewOf(reference.weights), alpha);
    std::copy_n(mixed.data_ptr<float>(), reference.weights.size(), reference.weights.begin());
  }
  *digest = WeightsDigest(WeightLayout(policy.config), reference.weights);
  const nlohmann::json manifest = {{"job", request.job()},
                                   {"round", request.round()},
                                   {"reference_of_round", request.round() + 1},
                                   {"digest", *digest}};
  return Save(request.reference_output_path(), request, reference, manifest);
}

}  // namespace attune
