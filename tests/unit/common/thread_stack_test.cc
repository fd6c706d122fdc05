#include <ATen/Parallel.h>
#include <pthread.h>

#include <memory>

#include "common/metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_get.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

size_t StackAfterAskingFor(size_t bytes) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  EXPECT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
  size_t size = 0;
  pthread_attr_getstacksize(&attributes, &size);
  pthread_attr_destroy(&attributes);
  return size;
}

TEST(ThreadStackTest, RaisesSmallRequestsOnly) {
  EXPECT_EQ(StackAfterAskingFor(100 * 1024), 512u * 1024);
  EXPECT_EQ(StackAfterAskingFor(2 * 1024 * 1024), 2u * 1024 * 1024);
}

// The reason for it all: without thread_stack.cc the second line fails in this process.
TEST(ThreadStackTest, MetricsAreServedBesideLibTorch) {
  ASSERT_GE(at::get_num_threads(), 1);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Metrics> metrics, Metrics::Create("127.0.0.1:0", "t"));
  EXPECT_THAT(HttpGet(metrics->address(), "/metrics"), ::testing::HasSubstr("attune_build_info"));
}

}  // namespace
}  // namespace attune
