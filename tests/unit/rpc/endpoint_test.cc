#include "rpc/endpoint.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/clock.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/metric_value.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

v1::CallSpec Calls(uint32_t attempts = 1) {
  v1::CallSpec calls;
  calls.set_timeout_seconds(60);
  calls.set_max_attempts(attempts);
  calls.set_max_concurrency(16);
  calls.set_breaker_failures(1000);
  calls.set_breaker_seconds(3600);
  calls.set_cache_entries(0);
  return calls;
}

class EndpointTest : public testing::Test {
 protected:
  absl::Status Call(const v1::CallSpec& calls, const absl::Status& answer) {
    return endpoint_->Call(calls, /*key=*/1, [&] {
      ++attempts_;
      return answer;
    });
  }

  double Outcomes(const std::string& outcome) {
    return Value(
        absl::StrCat("attune_oracle_calls_total{oracle=\"http/1\",outcome=\"", outcome, "\"}"));
  }
  double Count(const std::string& name) {
    return Value(absl::StrCat("attune_oracle_", name, "{oracle=\"http/1\"}"));
  }
  double Value(const std::string& series) { return MetricValue(metrics_, series); }

  Metrics& metrics_ = ServedMetrics();
  CallMetrics call_metrics_{metrics_, "oracle"};
  std::unique_ptr<Endpoint> endpoint_ =
      std::make_unique<Endpoint>("http/1", "http://there", call_metrics_);
  int attempts_ = 0;
};

TEST_F(EndpointTest, RepeatsWhatMaySucceedLater) {
  const absl::Status answers[] = {absl::UnavailableError("HTTP 500"), absl::InternalError("half"),
                                  absl::DeadlineExceededError("slow"), absl::OkStatus()};
  EXPECT_OK(endpoint_->Call(Calls(4), 1, [&] { return answers[attempts_++]; }));
  EXPECT_EQ(attempts_, 4);
  EXPECT_EQ(Outcomes("refused"), 1);
  EXPECT_EQ(Outcomes("bad_answer"), 1);
  EXPECT_EQ(Outcomes("timeout"), 1);
  EXPECT_EQ(Outcomes("ok"), 1);
  EXPECT_EQ(Count("retries_total"), 3);
}

TEST_F(EndpointTest, GivesUpAfterItsAttemptsWithTheLastError) {
  EXPECT_THAT(Call(Calls(2), absl::UnavailableError("HTTP 500")),
              StatusIs(StatusCode::kUnavailable, "http://there, attempt 2 of 2: HTTP 500"));
  EXPECT_EQ(attempts_, 2);
}

TEST_F(EndpointTest, DoesNotRepeatWhatWouldFailAgain) {
  EXPECT_THAT(Call(Calls(5), absl::FailedPreconditionError("HTTP 400")),
              StatusIs(StatusCode::kFailedPrecondition, "attempt 1 of 5: HTTP 400"));
  EXPECT_EQ(attempts_, 1);
  EXPECT_EQ(Count("retries_total"), 0);
}

TEST_F(EndpointTest, DoesNotRepeatWhereItWouldHaveToWaitTooLong) {
  v1::CallSpec calls = Calls(2);
  calls.set_timeout_seconds(1);
  EXPECT_THAT(Call(calls, OverloadedError("busy", absl::Hours(1))),
              StatusIs(StatusCode::kResourceExhausted, "cannot wait 1h to repeat: http://there"));
  EXPECT_EQ(attempts_, 1);
}

TEST_F(EndpointTest, WaitsAsLongAsItIsAsked) {
  int attempts = 0;
  const Stopwatch watch;
  EXPECT_OK(endpoint_->Call(Calls(2), 1, [&]() -> absl::Status {
    if (++attempts == 2) return absl::OkStatus();
    return OverloadedError("busy", absl::Milliseconds(300));
  }));
  EXPECT_GE(watch.Seconds(), 0.3);  // the first backoff alone is 0.1 s at most
}

TEST_F(EndpointTest, AfterFailuresInARowNothingIsCalled) {
  v1::CallSpec calls = Calls();
  calls.set_breaker_failures(3);
  for (int i = 0; i < 2; ++i) Call(calls, absl::UnavailableError("x")).IgnoreError();
  EXPECT_OK(Call(calls, absl::OkStatus()));  // no longer in a row
  for (int i = 0; i < 3; ++i) Call(calls, absl::InternalError("NaN")).IgnoreError();
  EXPECT_EQ(attempts_, 6);
  EXPECT_THAT(Call(calls, absl::OkStatus()),
              StatusIs(StatusCode::kUnavailable, "http://there is not called until "));
  EXPECT_THAT(Call(calls, absl::OkStatus()),
              StatusIs(StatusCode::kUnavailable, "after 3 failures in a row; the last: NaN"));
  EXPECT_EQ(attempts_, 6);
  EXPECT_EQ(Outcomes("breaker_open"), 2);
  EXPECT_EQ(Count("breaker_open"), 1);
  EXPECT_EQ(Count("breaker_opened_total"), 1);
}

TEST_F(EndpointTest, ARefusalOfTheRequestItselfIsNoFailureOfTheService) {
  v1::CallSpec calls = Calls();
  calls.set_breaker_failures(1);
  for (int i = 0; i < 5; ++i) Call(calls, absl::FailedPreconditionError("HTTP 400")).IgnoreError();
  EXPECT_EQ(attempts_, 5);
  EXPECT_EQ(Count("breaker_opened_total"), 0);
}

TEST_F(EndpointTest, OneCallTriesAndClosesTheBreaker) {
  v1::CallSpec calls = Calls();
  calls.set_breaker_failures(1);
  calls.set_breaker_seconds(0.01);
  Call(calls, absl::UnavailableError("x")).IgnoreError();
  // The first that is let through fails again, so that the next wait begins.
  while (attempts_ < 2) Call(calls, absl::UnavailableError("y")).IgnoreError();
  EXPECT_EQ(Count("breaker_open"), 1);
  bool others_refused = false;
  const auto probe = [&] {
    return endpoint_->Call(calls, 1, [&] {
      ++attempts_;
      others_refused =
          absl::IsUnavailable(endpoint_->Call(calls, 1, [] { return absl::OkStatus(); }));
      return absl::OkStatus();
    });
  };
  while (!probe().ok()) {
  }
  EXPECT_TRUE(others_refused);
  EXPECT_EQ(attempts_, 3);
  EXPECT_EQ(Count("breaker_open"), 0);
  EXPECT_EQ(Count("breaker_opened_total"), 1);  // it was open all the time
  EXPECT_OK(Call(calls, absl::OkStatus()));
}

TEST_F(EndpointTest, NoMoreCallsAreInFlightThanAllowed) {
  v1::CallSpec calls = Calls();
  calls.set_max_concurrency(3);
  absl::Mutex mu;
  int in_flight = 0, most = 0, begun = 0;
  const auto attempt = [&] {
    absl::MutexLock lock(&mu);
    most = std::max(most, ++in_flight);
    ++begun;
    mu.Await(absl::Condition(
        +[](int* count) { return *count >= 3; }, &begun));  // all places taken
    --in_flight;
    return absl::OkStatus();
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 12; ++i) {
    callers.emplace_back([&] { EXPECT_OK(endpoint_->Call(calls, 1, attempt)); });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(begun, 12);
  EXPECT_EQ(most, 3);
}

TEST_F(EndpointTest, StandsInLineNoLongerThanItsTime) {
  v1::CallSpec calls = Calls();
  calls.set_max_concurrency(1);
  absl::Notification entered, leave;
  std::thread holder([&] {
    EXPECT_OK(endpoint_->Call(calls, 1, [&] {
      entered.Notify();
      leave.WaitForNotification();
      return absl::OkStatus();
    }));
  });
  entered.WaitForNotification();
  v1::CallSpec hurried = calls;
  hurried.set_timeout_seconds(-4.99);  // of a spec it is at least 0.01; here it shortens the wait
  EXPECT_THAT(Call(hurried, absl::OkStatus()),
              StatusIs(StatusCode::kDeadlineExceeded, "stood in line in vain behind 1 others"));
  leave.Notify();
  holder.join();
  EXPECT_EQ(attempts_, 0);
}

TEST_F(EndpointTest, TheBreakerIsForgottenWithTheEndpoint) {
  v1::CallSpec calls = Calls();
  calls.set_breaker_failures(1);
  Call(calls, absl::UnavailableError("x")).IgnoreError();
  EXPECT_EQ(Count("breaker_open"), 1);
  endpoint_.reset();
  EXPECT_EQ(Count("breaker_open"), 0);
}

}  // namespace
}  // namespace attune
