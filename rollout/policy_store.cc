#include "rollout/policy_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "rollout/weight_client.h"

namespace attune {
namespace {

// The policy of `source` in `precision`: one of `held` (which may be null) if that is it, else
// loaded.
absl::StatusOr<LoadedPolicy> FindOrLoad(const v1::PolicySource& source, TensorType precision,
                                        const HeldPolicies* held) {
  const std::string& digest = source.version().digest();
  if (digest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the policy of round ", source.version().round(), " has no digest"));
  }
  if (held != nullptr && held->precision == precision) {
    if (held->version.digest() == digest) return LoadedPolicy{held->policy, 0};
    if (held->initial != nullptr && held->initial_digest == digest) {
      return LoadedPolicy{held->initial, 0};
    }
  }
  return LoadPolicy(source, precision);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(const std::string& directory,
                                                               int64_t vocab_size) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(directory));
  if (tokenizer->vocab_size() > vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tokenizer of ", directory, " has ", tokenizer->vocab_size(),
        " ids but the model's vocab_size is ", vocab_size, "; they do not belong together"));
  }
  return tokenizer;
}

std::shared_ptr<const HeldPolicies> PolicyStore::Get() const {
  absl::MutexLock lock(&mu_);
  return held_;
}

absl::StatusOr<uint64_t> PolicyStore::Load(const v1::LoadPolicyRequest& request) {
  auto next = std::make_shared<HeldPolicies>();  // first, so that its first_token has waited too
  absl::MutexLock load_lock(&load_mu_);
  const std::shared_ptr<const HeldPolicies> held = Get();
  next->version = request.policy().version();
  next->precision = TensorTypeOf(request.precision());
  ATTUNE_ASSIGN_OR_RETURN(LoadedPolicy policy,
                          FindOrLoad(request.policy(), next->precision, held.get()));
  next->policy = std::move(policy.policy);
  uint64_t bytes = policy.bytes;
  if (request.has_initial()) {
    next->initial_digest = request.initial().version().digest();
    // One object where they are the same policy: the log-probabilities are then computed once.
    if (next->initial_digest == next->version.digest()) {
      next->initial = next->policy;
    } else {
      ATTUNE_ASSIGN_OR_RETURN(LoadedPolicy initial,
                              FindOrLoad(request.initial(), next->precision, held.get()));
      next->initial = std::move(initial.policy);
      bytes += initial.bytes;
    }
  }
  // Read anew even where the weights are not: the directory may have been edited between jobs.
  ATTUNE_ASSIGN_OR_RETURN(next->tokenizer, LoadTokenizer(request.policy().model_path(),
                                                         next->policy->config().vocab_size));
  next->chat_template = ChatTemplate::Load(request.policy().model_path());
  if (held != nullptr && held->policy == next->policy) next->quantized = held->quantized;
  absl::MutexLock lock(&mu_);
  held_ = std::move(next);
  return bytes;
}

}  // namespace attune
