#include "rpc/endpoint.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/retry.h"
#include "common/status_macros.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr Backoff kBackoff;

const char* Outcome(const absl::Status& status) {
  if (status.ok()) return "ok";
  if (absl::IsDeadlineExceeded(status)) return "timeout";
  return absl::IsInternal(status) ? "bad_answer" : "refused";
}

}  // namespace

bool IsWorthRepeating(const absl::Status& status) {
  return IsRetryable(status) || absl::IsInternal(status) || absl::IsUnknown(status) ||
         absl::IsCancelled(status);
}

std::string CallMetrics::Name(absl::string_view what) const {
  return absl::StrCat("attune_", role_, "_", what);
}

void CallMetrics::CountAttempt(const std::string& kind, const absl::Status& status) {
  metrics_.Add(Name("calls_total"), "Calls of services outside.", 1,
               {{role_, kind}, {"outcome", Outcome(status)}});
}

void CallMetrics::CountNotCalled(const std::string& kind) {
  metrics_.Add(Name("calls_total"), "Calls of services outside.", 1,
               {{role_, kind}, {"outcome", "breaker_open"}});
}

void CallMetrics::CountRetry(const std::string& kind) {
  metrics_.Add(Name("retries_total"), "Calls of services outside that were repeated.", 1,
               {{role_, kind}});
}

void CallMetrics::ChangeOpenBreakers(const std::string& kind, int change) {
  absl::MutexLock lock(&mu_);
  open_[kind] += change;
  metrics_.Set(Name("breaker_open"), "Services outside that are not called for a while.",
               open_[kind], {{role_, kind}});
  metrics_.Add(Name("breaker_opened_total"),
               "Times that a service outside failed too often in a row.", std::max(change, 0),
               {{role_, kind}});
}

Endpoint::Endpoint(std::string kind, std::string address, CallMetrics& metrics)
    : kind_(std::move(kind)), address_(std::move(address)), metrics_(metrics) {
  metrics_.ChangeOpenBreakers(kind_, 0);  // so that the series are there before a failure
}

Endpoint::~Endpoint() {
  absl::MutexLock lock(&mu_);
  if (open_) metrics_.ChangeOpenBreakers(kind_, -1);
}

absl::Status Endpoint::Call(const v1::CallSpec& calls, uint64_t key,
                            absl::FunctionRef<absl::Status()> attempt) {
  const absl::Duration deadline =
      MonotonicTime() +
      (absl::Seconds(calls.timeout_seconds()) + kBackoff.max) * calls.max_attempts();
  for (uint32_t made = 1;; ++made) {
    ATTUNE_ASSIGN_OR_RETURN(const bool probes, Enter(calls, deadline));
    const absl::Status status = attempt();
    metrics_.CountAttempt(kind_, status);
    Leave(calls, probes, status);
    if (status.ok()) return status;
    const absl::Status error =
        Annotate(status, absl::StrCat(address_, ", attempt ", made, " of ", calls.max_attempts()));
    if (!IsWorthRepeating(status) || made >= calls.max_attempts()) return error;
    const absl::Duration delay = std::max(kBackoff.Delay(made, key), RetryAfter(status));
    if (MonotonicTime() + delay > deadline) {
      return Annotate(error,
                      absl::StrCat("cannot wait ", absl::FormatDuration(delay), " to repeat"));
    }
    PauseFor(delay);
    metrics_.CountRetry(kind_);
  }
}

absl::StatusOr<bool> Endpoint::Enter(const v1::CallSpec& calls, absl::Duration deadline) {
  const auto may_go_on = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return in_flight_ < calls.max_concurrency() || MayNotCall();
  };
  absl::MutexLock lock(&mu_);
  do {
    if (!mu_.AwaitWithTimeout(absl::Condition(&may_go_on), deadline - MonotonicTime())) {
      const absl::Status status = absl::DeadlineExceededError(
          absl::StrCat(address_, ": the call stood in line in vain behind ", in_flight_,
                       " others; raise max_concurrency if the service can take more"));
      metrics_.CountAttempt(kind_, status);
      return status;
    }
    if (MayNotCall()) {
      metrics_.CountNotCalled(kind_);
      return NotCalled();
    }
  } while (in_flight_ >= calls.max_concurrency());  // the pause of the breaker has just ended
  ++in_flight_;
  probing_ = open_;
  return open_;
}

bool Endpoint::MayNotCall() const { return open_ && (probing_ || MonotonicTime() < open_until_); }

absl::Status Endpoint::NotCalled() const {
  const std::string until =
      probing_ ? "the call in flight has succeeded"
               : absl::FormatTime("%H:%M:%E3S UTC", WallTime() + (open_until_ - MonotonicTime()),
                                  absl::UTCTimeZone());
  return absl::UnavailableError(absl::StrCat(address_, " is not called until ", until, ", after ",
                                             failures_,
                                             " failures in a row; the last: ", last_failure_));
}

void Endpoint::Leave(const v1::CallSpec& calls, bool probes, const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  --in_flight_;
  if (probes) probing_ = false;
  if (!IsWorthRepeating(status)) {
    failures_ = 0;
    if (open_) SetOpen(false);
    return;
  }
  ++failures_;
  last_failure_ = std::string(status.message());
  // Calls that were in flight when the breaker opened do not keep it open for longer.
  if (open_ ? !probes : failures_ < calls.breaker_failures()) return;
  open_until_ = MonotonicTime() + absl::Seconds(calls.breaker_seconds());
  if (!open_) SetOpen(true);
}

void Endpoint::SetOpen(bool open) {
  open_ = open;
  metrics_.ChangeOpenBreakers(kind_, open ? 1 : -1);
  if (open) {
    LogWarning(NotCalled().message());
  } else {
    LogInfo(address_, " answers again");
  }
}

}  // namespace attune
