// What a rollout worker holds: the current policy, the initial one, and the tokenizer.
#ifndef ATTUNE_ROLLOUT_POLICY_STORE_H_
#define ATTUNE_ROLLOUT_POLICY_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/rollout.pb.h"
#include "common/clock.h"
#include "model/chat_template.h"
#include "model/policy.h"
#include "model/tokenizer/tokenizer.h"

namespace attune {

// How long it takes from the call that tells of a policy to its first token. Thread-safe.
class FirstToken {
 public:
  void Drawn() {
    double none = 0;
    if (seconds_ == 0) seconds_.compare_exchange_strong(none, since_told_.Seconds());
  }
  // Once the time, else 0.
  double Take() { return taken_ || seconds_ == 0 || taken_.exchange(true) ? 0 : seconds_.load(); }

 private:
  const Stopwatch since_told_;
  std::atomic<double> seconds_ = 0;
  std::atomic<bool> taken_ = false;
};

// A policy's copy in 8 bits, made when it is first asked for. Thread-safe.
class QuantizedPolicy {
 public:
  const std::shared_ptr<const Policy>& Of(const Policy& policy) {
    absl::call_once(once_, [&] { quantized_ = policy.Quantized(); });
    return quantized_;
  }

 private:
  absl::once_flag once_;
  std::shared_ptr<const Policy> quantized_;
};

// Immutable once made, but for what it counts and makes on demand. A request takes it once and
// keeps it to its end, whatever is loaded since.
struct HeldPolicies {
  v1::PolicyVersion version;  // of `policy`, with its digest
  std::shared_ptr<const Tokenizer> tokenizer;
  // Of the same directory; that there is none matters only to prompts with messages.
  absl::StatusOr<std::shared_ptr<const ChatTemplate>> chat_template;
  std::shared_ptr<const Policy> policy;
  TensorType precision;  // that `policy` and `initial` compute in
  // The one at the start of the job: the same object where the digests are the same, null if the
  // last LoadPolicy named none.
  std::shared_ptr<const Policy> initial;
  std::string initial_digest;  // of `initial`, empty if that is null
  std::shared_ptr<FirstToken> first_token = std::make_shared<FirstToken>();          // of `policy`
  std::shared_ptr<QuantizedPolicy> quantized = std::make_shared<QuantizedPolicy>();  // of `policy`
};

// The tokenizer of `directory`, for a model with `vocab_size` ids. INVALID_ARGUMENT when the
// tokenizer can produce an id that the model does not have.
[[nodiscard]] absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(
    const std::string& directory, int64_t vocab_size);

// Thread-safe.
class PolicyStore {
 public:
  // Null before the first Load. Never waits for a Load.
  std::shared_ptr<const HeldPolicies> Get() const;

  // Makes the worker hold exactly what `request` names; the tokenizer is that of
  // policy.model_path. What it holds already, by digest and precision, is not loaded again. On
  // failure the store holds what it held before. One Load at a time, others wait. Returns the bytes
  // that came over the wire. INVALID_ARGUMENT: a digest is missing; else as LoadPolicy of
  // weight_client.h.
  [[nodiscard]] absl::StatusOr<uint64_t> Load(const v1::LoadPolicyRequest& request);

 private:
  absl::Mutex load_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // held through a load
  mutable absl::Mutex mu_;
  std::shared_ptr<const HeldPolicies> held_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_POLICY_STORE_H_
