#include "common/metrics.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(MetricsTest, ServesWhatWasCounted) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> metrics,
                       Metrics::Create("127.0.0.1:0", "tester"));
  metrics->Add("attune_pairs_total", "Pairs.", 2, {{"job", "a"}});
  metrics->Add("attune_pairs_total", "Pairs.", 3, {{"job", "a"}});
  metrics->Set("attune_workers", "Workers.", 4);
  metrics->Set("attune_workers", "Workers.", 1);
  metrics->Observe("attune_phase_seconds", "Phases.", 0.3, {{"phase", "paired"}});

  const std::string page = HttpGet(metrics->address(), "/metrics");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(page, HasSubstr("# HELP attune_pairs_total Pairs."));
  EXPECT_THAT(page, HasSubstr("attune_pairs_total{job=\"a\"} 5"));
  EXPECT_THAT(page, HasSubstr("attune_workers 1"));
  EXPECT_THAT(page, HasSubstr("attune_phase_seconds_bucket{phase=\"paired\",le=\"0.25\"} 0"));
  EXPECT_THAT(page, HasSubstr("attune_phase_seconds_bucket{phase=\"paired\",le=\"0.5\"} 1"));
  EXPECT_THAT(page, HasSubstr("attune_build_info{role=\"tester\",version=\"0.1.0\"} 1"));
}

TEST(MetricsTest, TwoServersTakeTwoPorts) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> first, Metrics::Create("127.0.0.1:0", "a"));
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> second, Metrics::Create("127.0.0.1:0", "b"));
  EXPECT_NE(first->address(), second->address());
  EXPECT_THAT(first->address(), Not(HasSubstr(":0")));
  EXPECT_THAT(Metrics::Create(first->address(), "c"),
              StatusIs(absl::StatusCode::kUnavailable, first->address()));
}

TEST(MetricsTest, CountsWithoutServing) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> metrics, Metrics::Create("", "quiet"));
  metrics->Add("attune_things_total", "Things.", 1);
  EXPECT_EQ(metrics->address(), "");
}

TEST(MetricsTest, ThreadsShareACounter) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> metrics, Metrics::Create("127.0.0.1:0", "t"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) metrics->Add("attune_ticks_total", "Ticks.", 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(HttpGet(metrics->address(), "/metrics"), HasSubstr("attune_ticks_total 1000"));
}

}  // namespace
}  // namespace attune
