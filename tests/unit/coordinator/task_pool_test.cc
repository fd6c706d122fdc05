#include "coordinator/task_pool.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

v1::WorkerInfo Worker(const std::string& id) {
  v1::WorkerInfo worker;
  worker.set_id(id);
  worker.set_role(v1::WORKER_ROLE_ORACLE);
  worker.set_address("127.0.0.1:1");
  return worker;
}

constexpr TaskPoolOptions kOptions = {.role = v1::WORKER_ROLE_ORACLE,
                                      .bench = absl::ZeroDuration()};

TEST(TaskPoolTest, DoesEveryTaskOnceOverAllWorkers) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("a")));
  EXPECT_OK(membership.Register(Worker("b")));
  std::vector<std::atomic<int>> done(100);
  EXPECT_OK(
      RunTasks(membership, kOptions, done.size(), {}, [&](const v1::WorkerInfo&, size_t task) {
        ++done[task];
        return absl::OkStatus();
      }));
  for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
}

TEST(TaskPoolTest, CallsAWorkerSeveralTimesAtATimeWhenAllHaveACall) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("a")));
  EXPECT_OK(membership.Register(Worker("b")));
  absl::Mutex mu;
  int running = 0, most = 0;
  std::map<std::string, int> calls;
  const auto call = [&](int wanted) {
    return [&, wanted](const v1::WorkerInfo& worker, size_t) {
      absl::MutexLock lock(&mu);
      ++calls[worker.id()];
      most = std::max(most, ++running);
      const auto are_there = [&] { return most >= wanted; };
      mu.Await(absl::Condition(&are_there));  // for ever, if they do not come
      --running;
      return absl::OkStatus();
    };
  };
  const TaskPoolOptions options = {.role = v1::WORKER_ROLE_ORACLE, .calls_per_worker = 3};
  EXPECT_OK(RunTasks(membership, options, 30, {}, call(6)));
  EXPECT_EQ(most, 6);
  most = 0;
  calls.clear();
  EXPECT_OK(RunTasks(membership, options, 2, {}, call(2)));
  EXPECT_EQ(calls.size(), 2u);  // one each
}

TEST(TaskPoolTest, GivesTheTasksOfAFailingWorkerToOthers) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("good")));
  EXPECT_OK(membership.Register(Worker("bad")));
  std::atomic<int> done = 0;
  EXPECT_OK(RunTasks(membership, {.role = v1::WORKER_ROLE_ORACLE, .attempts_max = 1000}, 50, {},
                     [&](const v1::WorkerInfo& worker, size_t) -> absl::Status {
                       if (worker.id() == "bad") return absl::UnavailableError("gone");
                       ++done;
                       return absl::OkStatus();
                     }));
  EXPECT_EQ(done, 50);
}

TEST(TaskPoolTest, WorkersThatJoinLaterGetWork) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("first")));
  std::atomic<bool> second_worked = false;
  EXPECT_OK(RunTasks(membership, kOptions, 2, {},
                     [&](const v1::WorkerInfo& worker, size_t) -> absl::Status {
                       if (worker.id() == "second") {
                         second_worked = true;
                         return absl::OkStatus();
                       }
                       EXPECT_OK(membership.Register(Worker("second")));
                       return second_worked ? absl::OkStatus() : absl::UnavailableError("busy");
                     }));
  EXPECT_TRUE(second_worked);
}

TEST(TaskPoolTest, GivesUpAfterSoManyAttempts) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("bad")));
  std::atomic<int> attempts = 0;
  EXPECT_THAT(
      RunTasks(membership,
               {.role = v1::WORKER_ROLE_ORACLE, .attempts_max = 3, .bench = absl::ZeroDuration()},
               1, {},
               [&](const v1::WorkerInfo&, size_t) {
                 ++attempts;
                 return absl::UnavailableError("gone");
               }),
      StatusIs(absl::StatusCode::kUnavailable, "failed 3 times"));
  EXPECT_EQ(attempts, 3);
}

TEST(TaskPoolTest, AFinalErrorEndsEverything) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("a")));
  std::atomic<int> calls = 0;
  EXPECT_THAT(RunTasks(membership, kOptions, 50, {},
                       [&](const v1::WorkerInfo&, size_t) {
                         ++calls;
                         return absl::InvalidArgumentError("no such lexicon");
                       }),
              StatusIs(absl::StatusCode::kInvalidArgument, "no such lexicon"));
  EXPECT_EQ(calls, 1);
}

TEST(TaskPoolTest, StopsWhenAsked) {
  Membership membership;
  EXPECT_OK(membership.Register(Worker("a")));
  std::stop_source stop;
  EXPECT_THAT(RunTasks(membership, kOptions, 50, stop.get_token(),
                       [&](const v1::WorkerInfo&, size_t) {
                         stop.request_stop();
                         return absl::CancelledError("call cancelled");
                       }),
              StatusIs(absl::StatusCode::kCancelled, "stopped"));
}

TEST(TaskPoolTest, SaysThatThereIsNoWorker) {
  Membership membership;
  EXPECT_THAT(RunTasks(membership,
                       {.role = v1::WORKER_ROLE_ORACLE, .no_worker_timeout = absl::Milliseconds(1)},
                       1, {}, [](const v1::WorkerInfo&, size_t) { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kUnavailable, "no WORKER_ROLE_ORACLE has been alive"));
}

}  // namespace
}  // namespace attune
