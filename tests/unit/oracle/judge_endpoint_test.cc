#include "oracle/judge_endpoint.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/metric_value.h"

namespace attune {
namespace {

TEST(EndpointsTest, AddressesAreSharedByAllWhoAsk) {
  Endpoints endpoints(ServedMetrics());
  const auto endpoint = endpoints.Find("http/1", "http://there");
  EXPECT_EQ(endpoints.Find("http/1", "http://there"), endpoint);
  EXPECT_NE(endpoints.Find("http/1", "http://elsewhere"), endpoint);
}

TEST(EndpointsTest, UnusedAddressesAreForgottenWithTheirBreakers) {
  Metrics& metrics = ServedMetrics();
  Endpoints endpoints(metrics);
  const auto in_use = endpoints.Find("http/1", "http://there");
  v1::CallSpec calls;
  calls.set_timeout_seconds(60);
  calls.set_max_attempts(1);
  calls.set_max_concurrency(1);
  calls.set_breaker_failures(1);
  calls.set_breaker_seconds(3600);
  endpoints.Find("http/1", "http://broken")
      ->Call(calls, 1, [] { return absl::UnavailableError("x"); })
      .IgnoreError();
  const char* const open = "attune_oracle_breaker_open{oracle=\"http/1\"}";
  EXPECT_EQ(MetricValue(metrics, open), 1);
  for (size_t i = 0; i < Endpoints::kEndpointsMax; ++i) {
    endpoints.Find("http/1", absl::StrCat("http://", i));
  }
  EXPECT_EQ(MetricValue(metrics, open), 0);
  EXPECT_EQ(endpoints.Find("http/1", "http://there"), in_use);
}

}  // namespace
}  // namespace attune
