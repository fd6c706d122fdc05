#include "common/bounded_queue.h"

#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(BoundedQueueTest, KeepsOrder) {
  BoundedQueue<int> queue(3);
  for (int i : {1, 2, 3}) EXPECT_TRUE(queue.Push(i));
  for (int i : {1, 2, 3}) EXPECT_EQ(queue.Pop(), i);
}

TEST(BoundedQueueTest, TakesMoveOnlyItems) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.Push(std::make_unique<int>(7)));
  EXPECT_EQ(**queue.Pop(), 7);
}

TEST(BoundedQueueTest, ClosedQueueRefusesAndDrains) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.Push(1));
  queue.Close();
  EXPECT_FALSE(queue.Push(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, CloseReleasesABlockedProducer) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.Push(1));
  bool accepted = true;
  std::thread producer([&] { accepted = queue.Push(2); });  // full: waits, or finds it closed
  queue.Close();
  producer.join();
  EXPECT_FALSE(accepted);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, CloseReleasesABlockedConsumer) {
  BoundedQueue<int> queue(1);
  std::optional<int> item = 1;
  std::thread consumer([&] { item = queue.Pop(); });
  queue.Close();
  consumer.join();
  EXPECT_EQ(item, std::nullopt);
}

TEST(BoundedQueueTest, FullQueueHoldsTheProducerBack) {
  BoundedQueue<int> queue(2);
  std::vector<int> taken;
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) queue.Push(i);
    queue.Close();
  });
  while (std::optional<int> item = queue.Pop()) taken.push_back(*item);
  producer.join();
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(taken, expected);
}

TEST(BoundedQueueTest, ManyProducersAndConsumersLoseNothing) {
  constexpr int kThreads = 4;
  constexpr int kItems = 500;
  BoundedQueue<int> queue(3);
  std::vector<int64_t> sums(kThreads, 0);
  std::vector<std::thread> producers;
  std::vector<std::thread> consumers;
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&] {
      for (int i = 1; i <= kItems; ++i) queue.Push(i);
    });
    consumers.emplace_back([&queue, &sum = sums[t]] {
      while (std::optional<int> item = queue.Pop()) sum += *item;
    });
  }
  for (std::thread& producer : producers) producer.join();
  queue.Close();
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), int64_t{0}),
            int64_t{kThreads} * kItems * (kItems + 1) / 2);
}

TEST(BoundedQueueDeathTest, NeedsRoom) {
  EXPECT_DEATH(BoundedQueue<int>(0), "check failed: items_max > 0");
}

}  // namespace
}  // namespace attune
