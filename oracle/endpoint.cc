#include "oracle/endpoint.h"

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

void CallMetrics::CountAttempt(const std::string& oracle, const absl::Status& status) {
  metrics_.Add("attune_oracle_calls_total", "Calls of services outside.", 1,
               {{"oracle", oracle}, {"outcome", Outcome(status)}});
}

void CallMetrics::CountNotCalled(const std::string& oracle) {
  metrics_.Add("attune_oracle_calls_total", "Calls of services outside.", 1,
               {{"oracle", oracle}, {"outcome", "breaker_open"}});
}

void CallMetrics::CountRetry(const std::string& oracle) {
  metrics_.Add("attune_oracle_retries_total", "Calls of services outside that were repeated.", 1,
               {{"oracle", oracle}});
}

void CallMetrics::CountCacheHit(const std::string& oracle) {
  metrics_.Add("attune_oracle_cache_hits_total", "Verdicts that were known already.", 1,
               {{"oracle", oracle}});
}

void CallMetrics::ChangeOpenBreakers(const std::string& oracle, int change) {
  absl::MutexLock lock(&mu_);
  open_[oracle] += change;
  metrics_.Set("attune_oracle_breaker_open", "Services outside that are not called for a while.",
               open_[oracle], {{"oracle", oracle}});
  metrics_.Add("attune_oracle_breaker_opened_total",
               "Times that a service outside failed too often in a row.", std::max(change, 0),
               {{"oracle", oracle}});
}

Endpoint::Endpoint(std::string oracle, std::string address, CallMetrics& metrics)
    : oracle_(std::move(oracle)), address_(std::move(address)), metrics_(metrics) {
  metrics_.ChangeOpenBreakers(oracle_, 0);  // so that the series are there before a failure
}

Endpoint::~Endpoint() {
  absl::MutexLock lock(&mu_);
  if (open_) metrics_.ChangeOpenBreakers(oracle_, -1);
}

absl::Status Endpoint::Call(const v1::CallSpec& calls, uint64_t key,
                            absl::FunctionRef<absl::Status()> attempt) {
  const absl::Duration deadline =
      MonotonicTime() +
      (absl::Seconds(calls.timeout_seconds()) + kBackoff.max) * calls.max_attempts();
  for (uint32_t made = 1;; ++made) {
    ATTUNE_ASSIGN_OR_RETURN(const bool probes, Enter(calls, deadline));
    const absl::Status status = attempt();
    metrics_.CountAttempt(oracle_, status);
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
    metrics_.CountRetry(oracle_);
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
                       " others; raise oracle.calls.max_concurrency if the service can take more"));
      metrics_.CountAttempt(oracle_, status);
      return status;
    }
    if (MayNotCall()) {
      metrics_.CountNotCalled(oracle_);
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
  metrics_.ChangeOpenBreakers(oracle_, open ? 1 : -1);
  if (open) {
    LogWarning(NotCalled().message());
  } else {
    LogInfo(address_, " answers again");
  }
}

std::shared_ptr<const Judge> Endpoint::Cached(const v1::CallSpec& calls,
                                              std::shared_ptr<const Judge> judge) {
  if (calls.cache_entries() == 0) return judge;
  return MakeCachedJudge(
      std::move(judge), cache_, calls.cache_entries(),
      [&metrics = metrics_, oracle = oracle_] { metrics.CountCacheHit(oracle); });
}

std::shared_ptr<Endpoint> Endpoints::Find(const std::string& oracle, const std::string& address) {
  absl::MutexLock lock(&mu_);
  const auto it = endpoints_.find({oracle, address});
  if (it != endpoints_.end()) return it->second;
  if (endpoints_.size() >= kEndpointsMax) {
    std::erase_if(endpoints_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  auto endpoint = std::make_shared<Endpoint>(oracle, address, metrics_);
  endpoints_.emplace(std::pair(oracle, address), endpoint);
  return endpoint;
}

}  // namespace attune
