#include "serve/metrics_text.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::HasSubstr;

TEST(MetricsTextTest, IsPrometheusText) {
  EngineThread::State state;
  state.counters.decode_tokens = 12345678;
  state.running = 3;
  state.cache_use = 0.25;
  for (const double seconds : {0.002, 0.25, 1000.0}) state.counters.next_token.Add(seconds);
  const std::string text = MetricsText(state, {{200, 7}, {429, 1}});
  EXPECT_THAT(text, HasSubstr("# TYPE attune_serve_replies_total counter\n"
                              "attune_serve_replies_total{status=\"200\"} 7\n"
                              "attune_serve_replies_total{status=\"429\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE attune_serve_running gauge\nattune_serve_running 3\n"));
  EXPECT_THAT(text, HasSubstr("\nattune_serve_decode_tokens_total 12345678\n"));
  EXPECT_THAT(text, HasSubstr("\nattune_serve_cache_use_ratio 0.25\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE attune_serve_next_token_seconds histogram\n"
                              "attune_serve_next_token_seconds_bucket{le=\"0.001\"} 0\n"
                              "attune_serve_next_token_seconds_bucket{le=\"0.0025\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("_bucket{le=\"0.1\"} 1\n"
                              "attune_serve_next_token_seconds_bucket{le=\"0.25\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("attune_serve_next_token_seconds_bucket{le=\"+Inf\"} 3\n"
                              "attune_serve_next_token_seconds_sum 1000.25\n"
                              "attune_serve_next_token_seconds_count 3\n"));
}

}  // namespace
}  // namespace attune
