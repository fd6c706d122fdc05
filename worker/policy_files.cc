#include "worker/policy_files.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/files.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/layout.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"
#include "worker/objectives/combination.h"
#include "worker/train_round.h"

namespace attune {
namespace {

constexpr uint64_t kScoreHeadTag = 0x73636f7265;  // "score"

// An earlier attempt may have left the same directory; it goes first.
absl::Status Save(const std::string& path, const v1::TrainRoundRequest& request,
                  const PolicyWeights& policy, const nlohmann::json& manifest,
                  const AddFiles& add_files = nullptr) {
  ATTUNE_RETURN_IF_ERROR(RemoveAll(path));
  return Annotate(SaveCheckpoint(path, request.input().model_path(), policy.config,
                                 policy.weights, manifest.dump(2) + "\n", kShardBytesMax,
                                 add_files),
                  absl::StrCat("while saving ", path, " of round ", request.round()));
}

at::Tensor ViewOf(const std::vector<float>& weights) {  // which is not written to
  return at::from_blob(const_cast<float*>(weights.data()), static_cast<int64_t>(weights.size()));
}

absl::Status CheckDigest(const v1::PolicySource& source, const ModelConfig& config,
                         const std::vector<float>& weights) {
  const std::string& expected = source.version().digest();
  if (expected.empty()) return absl::OkStatus();
  const std::string digest = WeightsDigest(WeightLayout(config), weights);
  if (digest == expected) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the weights in ", DirectoryOf(source), " have digest ",
                                          digest, ", the policy of round ",
                                          source.version().round(), " has ", expected));
}

// `config` is that of the source.
absl::StatusOr<PolicyWeights> Load(const v1::PolicySource& source, ModelConfig config) {
  const std::string& directory = DirectoryOf(source);
  PolicyWeights policy = {std::move(config), {}};
  ATTUNE_ASSIGN_OR_RETURN(policy.weights, LoadWeights(directory, policy.config));
  ATTUNE_RETURN_IF_ERROR(CheckDigest(source, policy.config, policy.weights));
  return policy;
}

// Draw `i` of a standard normal distribution (Box-Muller).
double Normal(const CounterRng& rng, uint64_t i) {
  constexpr double kTurn = 6.283185307179586;
  const double radius = std::sqrt(-2 * std::log(1 - rng.Uniform(2 * i)));
  return radius * std::cos(kTurn * rng.Uniform(2 * i + 1));
}

PolicyWeights WithScoreHead(const PolicyWeights& policy, uint64_t seed) {
  PolicyWeights model = {policy.config, {}};
  ModelConfig& config = model.config;
  config.num_labels = 1;
  config.logit_softcap = 0;
  const bool pads = config.pad_token_id >= 0 && config.pad_token_id < config.vocab_size;
  if (!pads && !config.eos_token_ids.empty()) config.pad_token_id = config.eos_token_ids.front();
  const std::vector<TensorSpec> before = WeightLayout(policy.config);
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const std::string head = RefsOf(config).head.weight;
  model.weights.resize(WeightCount(layout));
  for (const TensorSpec& spec : layout) {
    float* const values = &model.weights[spec.offset];
    if (spec.name != head) {
      std::copy_n(&policy.weights[FindTensor(before, spec.name).offset], spec.size, values);
      continue;
    }
    const CounterRng rng({seed, kScoreHeadTag});
    const double deviation = 1 / std::sqrt(static_cast<double>(config.hidden_size) + 1);
    for (int64_t i = 0; i < spec.size; ++i) {
      values[i] = static_cast<float>(deviation * Normal(rng, static_cast<uint64_t>(i)));
    }
  }
  return model;
}

}  // namespace

const std::string& DirectoryOf(const v1::PolicySource& source) {
  return source.checkpoint_path().empty() ? source.model_path() : source.checkpoint_path();
}

absl::StatusOr<PolicyWeights> LoadPolicyWeights(const v1::PolicySource& source) {
  const std::string& directory = DirectoryOf(source);
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  if (config.num_labels > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot train ", directory, ": it is a sequence classifier with ",
                     config.num_labels, " labels, not a language model"));
  }
  return Load(source, std::move(config));
}

absl::StatusOr<PolicyWeights> LoadRewardModel(const v1::PolicySource& source, uint64_t seed) {
  const std::string& directory = DirectoryOf(source);
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  if (config.num_labels > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot train ", directory, " as a reward model: it is a sequence classifier ",
                     "with ", config.num_labels, " labels; must have 1"));
  }
  ATTUNE_ASSIGN_OR_RETURN(PolicyWeights model, Load(source, std::move(config)));
  return model.config.num_labels == 1 ? std::move(model) : WithScoreHead(model, seed);
}

absl::StatusOr<AdaptedPolicy> LoadAdaptedPolicy(const v1::TrainRoundRequest& request) {
  AdaptedPolicy policy;
  v1::PolicySource model;
  model.set_model_path(request.input().model_path());
  ATTUNE_ASSIGN_OR_RETURN(policy.base, LoadPolicyWeights(model));
  ATTUNE_ASSIGN_OR_RETURN(policy.adapters, LoadAdapters(request, policy.base.config));
  std::vector<float> merged = policy.base.weights;
  MergeAdapter(policy.adapters.layout, policy.base.weights, policy.adapters.fast,
               absl::MakeSpan(merged));
  ATTUNE_RETURN_IF_ERROR(CheckDigest(request.input(), policy.base.config, merged));
  return policy;
}

absl::Status SavePolicy(const v1::TrainRoundRequest& request, const PolicyWeights& policy,
                        const std::string& digest, const Adapters* adapters) {
  const nlohmann::json manifest = {{"job", request.job()},
                                   {"round", request.round()},
                                   {"parent_digest", request.input().version().digest()},
                                   {"digest", digest},
                                   {"steps", UpdatesOfRound(request)},
                                   {"pairs", request.pairs()}};
  if (adapters == nullptr) return Save(request.output_path(), request, policy, manifest);
  return Save(request.output_path(), request, policy, manifest, [&](const std::string& directory) {
    return SaveAdapters(directory, request.input().model_path(), *adapters);
  });
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
