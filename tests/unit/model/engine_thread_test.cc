#include "model/engine_thread.h"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/engine_testing.h"

namespace attune {
namespace {

EngineRequest Endless(const std::shared_ptr<const Policy>& policy) {
  EngineRequest request = RandomRequest(policy, 1);
  request.prompt_ids.resize(1);
  request.sample_keys.resize(1);
  request.options = {.min_new_tokens = 149, .max_new_tokens = 149};
  request.on_done = [](size_t, absl::StatusOr<Generation>) {};
  return request;
}

TEST(EngineThreadTest, RefusesMoreThanMayWait) {
  const auto policy = TinyPolicy(1, TensorType::kF32);
  absl::Notification go_on;  // outlives the engine, which waits for it
  EngineThread engine({.sequences_max = 1, .cache_bytes = int64_t{1} << 20}, /*waiting_max=*/2);
  EngineRequest first = Endless(policy);
  first.on_token = [&](size_t, const Generation&) {
    go_on.WaitForNotification();
    return false;
  };
  ASSERT_OK(engine.Submit(std::move(first)).status());
  absl::Status refused;
  while (refused.ok()) refused = engine.Submit(Endless(policy)).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, "requests wait already"));
  EngineRequest wrong = Endless(policy);
  wrong.prompt_ids.clear();
  EXPECT_THAT(engine.Submit(std::move(wrong)),
              StatusIs(absl::StatusCode::kInvalidArgument, "no tokens"));
  go_on.Notify();
}  // what has not ended is forgotten

// What one of several users of an engine does: submits, waits for some and cancels others, and
// compares what it gets with what a request gives alone.
class User {
 public:
  User(EngineThread& engine, uint64_t number) : engine_(engine), rng_({number, 9}) {}

  void Do(const std::shared_ptr<const Policy>& policy) {
    const uint64_t kind = static_cast<uint64_t>(rng_.Uniform(drawn_++) * 200);
    const EngineRequest asked = RandomRequest(policy, kind);
    const bool cancels = rng_.Uniform(drawn_++) < 0.3;
    struct Answered {
      explicit Answered(int responses) : missing(responses), responses(responses) {}
      absl::BlockingCounter missing;
      std::vector<Generation> responses;
      std::atomic<int> count = 0;
    };
    const auto answered = std::make_shared<Answered>(static_cast<int>(asked.sample_keys.size()));
    EngineRequest request = asked;
    request.on_done = [answered](size_t sample, absl::StatusOr<Generation> response) {
      ASSERT_OK(response.status());
      answered->responses[sample] = *std::move(response);
      ++answered->count;
      answered->missing.DecrementCount();
    };
    const auto id = engine_.Submit(std::move(request));
    if (absl::IsResourceExhausted(id.status())) return;
    ASSERT_OK(id.status());
    if (cancels) {
      engine_.Cancel({*id});
      const int count = answered->count;
      std::this_thread::yield();
      EXPECT_EQ(answered->count, count);
      return;
    }
    answered->missing.Wait();
    EXPECT_EQ(answered->count, static_cast<int>(asked.sample_keys.size()));
    for (size_t s = 0; s < asked.sample_keys.size(); ++s) {
      EXPECT_TRUE(answered->responses[s] == AloneResponse(asked, s)) << kind;
    }
    ++done;
  }

  int64_t done = 0;

 private:
  EngineThread& engine_;
  const CounterRng rng_;
  uint64_t drawn_ = 0;
};

int64_t PeakMemory() {  // bytes
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

// Requests join, leave and are cancelled while the weights change. ATTUNE_SOAK_SECONDS makes it
// last; memory must then be flat.
TEST(EngineThreadTest, ServesManyThatComeAndGoWhileWeightsChange) {
  const char* const wanted = std::getenv("ATTUNE_SOAK_SECONDS");
  const absl::Duration length = absl::Seconds(wanted == nullptr ? 2 : std::atoi(wanted));
  EngineThread engine({.threads = 2, .rows_max = 40, .sequences_max = 16, .cache_bytes = 100 << 10},
                      /*waiting_max=*/8);
  absl::Mutex mu;
  std::shared_ptr<const Policy> current = TinyPolicy(1, TensorType::kBf16);
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<User>> users;
  for (uint64_t i = 0; i < 6; ++i) {
    User& user = *users.emplace_back(std::make_unique<User>(engine, i));
    threads.emplace_back([&] {
      while (!stop && !testing::Test::HasFailure()) {
        std::shared_ptr<const Policy> policy;
        {
          absl::MutexLock lock(&mu);
          policy = current;
        }
        user.Do(policy);
      }
    });
  }
  const Stopwatch watch;
  int64_t warm = 0;
  uint64_t version = 1;
  while (absl::Seconds(watch.Seconds()) < length && !testing::Test::HasFailure()) {
    absl::SleepFor(absl::Milliseconds(20));
    ++version;
    auto next = TinyPolicy(version, version % 3 == 0 ? TensorType::kF32 : TensorType::kBf16);
    absl::MutexLock lock(&mu);
    current = std::move(next);
    if (warm == 0 && absl::Seconds(watch.Seconds()) > length / 4) warm = PeakMemory();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  int64_t done = 0;
  for (const auto& user : users) done += user->done;
  EXPECT_GT(done, 0);
  RecordProperty("requests", absl::StrCat(done));
  const EngineThread::State state = engine.state();
  EXPECT_GT(state.counters.preemptions, 0);
  if (wanted != nullptr) {
    EXPECT_LT(PeakMemory(), warm + warm / 10) << "after " << done << " requests";
  }
}

}  // namespace
}  // namespace attune
