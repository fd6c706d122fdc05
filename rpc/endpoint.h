// A service outside, and how it is called: in line behind the calls in flight, again when it fails
// for a moment, and not at all for a while when it fails all the time.
#ifndef ATTUNE_RPC_ENDPOINT_H_
#define ATTUNE_RPC_ENDPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/oracle_spec.pb.h"
#include "common/metrics.h"

namespace attune {

// What calls of services outside leave in the metrics, by kind of service ("http/1"); addresses are
// no label, since there may be any number of them. Thread-safe.
class CallMetrics {
 public:
  // `role` is what the services are here: of "oracle" the metrics are attune_oracle_*, with the
  // kind as their label `oracle`.
  CallMetrics(Metrics& metrics, std::string role) : metrics_(metrics), role_(std::move(role)) {}

  // attune_ROLE_calls_total by outcome: ok, timeout (DEADLINE_EXCEEDED), bad_answer (INTERNAL)
  // or refused (any other error).
  void CountAttempt(const std::string& kind, const absl::Status& status);
  void CountNotCalled(const std::string& kind);  // outcome breaker_open
  void CountRetry(const std::string& kind);
  // By how many the number of open breakers changes; one that opens is counted.
  void ChangeOpenBreakers(const std::string& kind, int change);

 private:
  std::string Name(absl::string_view what) const;  // of a metric

  Metrics& metrics_;
  const std::string role_;
  absl::Mutex mu_;
  std::map<std::string, int> open_ ABSL_GUARDED_BY(mu_);
};

// Whether an error of a call says nothing of the request: the service is away, busy, slow or
// broken, so that the same call may succeed later. UNAVAILABLE, DEADLINE_EXCEEDED,
// RESOURCE_EXHAUSTED, ABORTED, CANCELLED, UNKNOWN, and INTERNAL, which stands for an answer that
// cannot be used.
bool IsWorthRepeating(const absl::Status& status);

// One address. Limits come with every call (with defaults filled in), what they limit is shared by
// all callers. Thread-safe.
class Endpoint {
 public:
  // `metrics` must outlive it.
  Endpoint(std::string kind, std::string address, CallMetrics& metrics);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Runs `attempt`, which makes one call within timeout_seconds and checks its answer, until it
  // succeeds, fails in a way that asking again does not change, or max_attempts are made. Returns
  // its last error. Before a repeated attempt it waits: a backoff with jitter keyed by `key`, or as
  // long as the error asks (RetryAfter in rpc/grpc_status.h).
  //
  // breaker_failures errors in a row that are worth repeating open the breaker: for breaker_seconds
  // every call is UNAVAILABLE at once, then a single one is made, which closes it or leaves it
  // open. Any other error says that the service answers.
  //
  // DEADLINE_EXCEEDED also when the call stands in line, or would have to wait for its next
  // attempt, for longer than all attempts with their backoffs may take.
  absl::Status Call(const v1::CallSpec& calls, uint64_t key,
                    absl::FunctionRef<absl::Status()> attempt);

  const std::string& kind() const { return kind_; }
  const std::string& address() const { return address_; }

 private:
  // Waits for a free place and takes it. Whether the call is the one that tries while the breaker
  // is open.
  [[nodiscard]] absl::StatusOr<bool> Enter(const v1::CallSpec& calls, absl::Duration deadline);
  void Leave(const v1::CallSpec& calls, bool probes, const absl::Status& status);

  bool MayNotCall() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status NotCalled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetOpen(bool open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string kind_;
  const std::string address_;
  CallMetrics& metrics_;
  absl::Mutex mu_;
  uint32_t in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t failures_ ABSL_GUARDED_BY(mu_) = 0;  // in a row
  std::string last_failure_ ABSL_GUARDED_BY(mu_);
  bool open_ ABSL_GUARDED_BY(mu_) = false;          // the breaker
  bool probing_ ABSL_GUARDED_BY(mu_) = false;       // the single call is in flight
  absl::Duration open_until_ ABSL_GUARDED_BY(mu_);  // MonotonicTime
};

}  // namespace attune

#endif  // ATTUNE_RPC_ENDPOINT_H_
