#include "client/supervisor.h"

#include <signal.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "client/stop_wait.h"
#include "common/clock.h"
#include "common/files.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

constexpr absl::Duration kLong = absl::Minutes(1);

bool Eventually(const std::function<bool()>& holds) {
  const absl::Duration give_up = MonotonicTime() + kLong;
  while (!holds()) {
    if (MonotonicTime() > give_up) return false;
    WaitUnlessStopped({}, absl::Milliseconds(5));
  }
  return true;
}

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("supervisor_test"));
    options_.on_restart = [this](const std::string& line) {
      absl::MutexLock lock(&mu_);
      restarts_.push_back(line);
    };
    options_.on_failure = [this] { failed_.request_stop(); };
    options_.restart_backoff = {absl::Milliseconds(1), absl::Milliseconds(5)};
    options_.stop_grace = absl::Milliseconds(300);
  }
  void TearDown() override { RemoveAll(directory_).IgnoreError(); }

  ProcessSpec Shell(const std::string& name, const std::string& script) const {
    ProcessSpec spec;
    spec.name = name;
    spec.command = {"sh", "-c", script};
    spec.environment = {{"DIR", directory_}};
    spec.log_path = JoinPath(directory_, absl::StrCat(name, ".log"));
    return spec;
  }
  std::string Content(const std::string& name) const {
    return ReadFile(JoinPath(directory_, name)).value_or("");
  }
  std::vector<std::string> Restarts() {
    absl::MutexLock lock(&mu_);
    return restarts_;
  }

  std::string directory_;
  SupervisorOptions options_;
  std::stop_source failed_;
  absl::Mutex mu_;
  std::vector<std::string> restarts_ ABSL_GUARDED_BY(mu_);
};

TEST_F(SupervisorTest, GivesTheFirstLineOfEachChild) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("a", "echo I am a; exec sleep 1000"));
  supervisor.Add(Shell("b", "echo I am b; exec sleep 1000"));
  ASSERT_OK_AND_ASSIGN(const std::string b, supervisor.FirstLine("b", kLong, {}));
  ASSERT_OK_AND_ASSIGN(const std::string a, supervisor.FirstLine("a", kLong, {}));
  EXPECT_EQ(a, "I am a");
  EXPECT_EQ(b, "I am b");
  EXPECT_EQ(supervisor.Running().size(), 2u);
}

TEST_F(SupervisorTest, StartsADeadChildAgain) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child", "echo up; echo started >>$DIR/starts; exec sleep 1000"));
  ASSERT_OK(supervisor.FirstLine("child", kLong, {}));
  const int first = supervisor.Running().at(0).second;
  ASSERT_TRUE(Eventually([&] { return Content("starts") == "started\n"; }));
  ::kill(first, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return Content("starts") == "started\nstarted\n"; }));
  EXPECT_NE(supervisor.Running().at(0).second, first);
  ASSERT_EQ(Restarts().size(), 1u);
  EXPECT_EQ(Restarts()[0],
            "child was killed by signal 9 (Killed); starting it again (1 of at most 10 times "
            "within 5m)");
  EXPECT_OK(supervisor.status());
}

TEST_F(SupervisorTest, ARestartUsesTheNewCommand) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child", "echo port 0; exec sleep 1000"));
  ASSERT_OK(supervisor.FirstLine("child", kLong, {}));
  supervisor.SetCommand("child", {"sh", "-c", "echo again >$DIR/second; exec sleep 1000"});
  ::kill(supervisor.Running().at(0).second, SIGTERM);
  EXPECT_TRUE(Eventually([&] { return Content("second") == "again\n"; }));
}

TEST_F(SupervisorTest, GivesUpAfterTheLastRestartWithTheEndOfTheLog) {
  options_.restarts_max = 3;
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child", "echo up; echo cannot go on >&2; exit 1"));
  ASSERT_TRUE(Eventually([&] { return failed_.stop_requested(); }));
  EXPECT_THAT(supervisor.status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       "child exited with code 1 after 3 restarts within 5m; the end of "));
  EXPECT_THAT(supervisor.status(),
              StatusIs(absl::StatusCode::kUnavailable, ":\n    cannot go on\n    cannot go on\n"));
  EXPECT_EQ(Restarts().size(), 3u);
}

TEST_F(SupervisorTest, AChildThatExitsBeforeItIsReadyIsNotStartedAgain) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child", "echo the port is in use >&2; exit 1"));
  EXPECT_THAT(supervisor.FirstLine("child", kLong, {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       "child exited with code 1 before it was ready"));
  EXPECT_THAT(supervisor.status(),
              StatusIs(absl::StatusCode::kUnavailable, "    the port is in use\n"));
  EXPECT_TRUE(failed_.stop_requested());
  EXPECT_TRUE(Restarts().empty());
}

TEST_F(SupervisorTest, AChildKilledBeforeItIsReadyIsStartedAgain) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child",
                       "test -e $DIR/second || { touch $DIR/second; kill -9 $$; }; echo up; "
                       "exec sleep 1000"));
  ASSERT_OK_AND_ASSIGN(const std::string line, supervisor.FirstLine("child", kLong, {}));
  EXPECT_EQ(line, "up");
  EXPECT_EQ(Restarts().size(), 1u);
}

TEST_F(SupervisorTest, SaysWhatCannotBeStarted) {
  Supervisor supervisor(options_);
  ProcessSpec spec = Shell("child", "");
  spec.command = {"/absent/binary"};
  supervisor.Add(spec);
  EXPECT_THAT(supervisor.FirstLine("child", kLong, {}),
              StatusIs(absl::StatusCode::kUnavailable, "/absent/binary"));
}

TEST_F(SupervisorTest, WaitingForAFirstLineHasALimit) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("child", "exec sleep 1000"));
  EXPECT_THAT(supervisor.FirstLine("child", absl::Milliseconds(30), {}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, "child was not ready after 30ms"));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(supervisor.FirstLine("child", kLong, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, "stopped"));
}

TEST_F(SupervisorTest, StopsTheFirstChildLast) {
  options_.stop_grace = kLong;
  Supervisor supervisor(options_);
  for (const std::string name : {"coordinator", "rollout", "trainer"}) {
    supervisor.Add(Shell(name, absl::StrCat("trap 'echo ", name, " >>$DIR/order; exit 0' TERM; ",
                                            "echo up; while :; do sleep 0.01; done")));
  }
  for (const std::string name : {"coordinator", "rollout", "trainer"}) {
    ASSERT_OK(supervisor.FirstLine(name, kLong, {}));
  }
  supervisor.Stop();
  const std::string order = Content("order");
  EXPECT_EQ(order.size(), std::string("coordinator\nrollout\ntrainer\n").size()) << order;
  EXPECT_EQ(order.substr(order.size() - 12), "coordinator\n");
  EXPECT_TRUE(Restarts().empty());
}

TEST_F(SupervisorTest, StopLeavesNoStubbornChild) {
  Supervisor supervisor(options_);
  supervisor.Add(Shell("stubborn", "trap '' TERM; echo up; exec sleep 1000"));
  ASSERT_OK(supervisor.FirstLine("stubborn", kLong, {}));
  const int pid = supervisor.Running().at(0).second;
  supervisor.Stop();
  EXPECT_NE(::kill(pid, 0), 0);
  EXPECT_TRUE(supervisor.Running().empty());
  supervisor.Stop();  // again is fine
}

}  // namespace
}  // namespace attune
