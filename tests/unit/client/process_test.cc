#include "client/process.h"

#include <signal.h>

#include <functional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/stop_wait.h"
#include "common/clock.h"
#include "common/files.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// Polls until it holds, at most a minute.
bool Eventually(const std::function<bool()>& holds) {
  const absl::Duration give_up = MonotonicTime() + absl::Minutes(1);
  while (!holds()) {
    if (MonotonicTime() > give_up) return false;
    WaitUnlessStopped({}, absl::Milliseconds(5));
  }
  return true;
}

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("process_test"));
  }
  void TearDown() override { RemoveAll(directory_).IgnoreError(); }

  ProcessSpec Shell(const std::string& script) const {
    ProcessSpec spec;
    spec.name = "child";
    spec.command = {"sh", "-c", script};
    spec.log_path = JoinPath(directory_, "child.log");
    return spec;
  }
  std::string Log() const { return ReadFile(JoinPath(directory_, "child.log")).value(); }

  std::string directory_;
};

TEST_F(ProcessTest, ReadsTheFirstLineAndTheExitCode) {
  ASSERT_OK_AND_ASSIGN(
      const auto process,
      Process::Start(Shell("echo listening here; echo more; echo oops >&2; exit 3")));
  ASSERT_TRUE(Eventually([&] { return process->Poll(); }));
  EXPECT_EQ(process->first_line(), "listening here");
  EXPECT_TRUE(process->exited());
  EXPECT_EQ(process->exit_code(), 3);
  EXPECT_EQ(process->Outcome(), "exited with code 3");
  EXPECT_EQ(Log(), "oops\n");
}

TEST_F(ProcessTest, ALineIsGivenOnlyWhole) {
  ASSERT_OK_AND_ASSIGN(const auto process, Process::Start(Shell("printf partial; exit 0")));
  ASSERT_TRUE(Eventually([&] { return process->Poll(); }));
  EXPECT_EQ(process->first_line(), std::nullopt);
}

TEST_F(ProcessTest, EnvironmentIsOursWithTheGivenOnTop) {
  ProcessSpec spec = Shell("echo $HOME-$ATTUNE_TEST");
  spec.environment = {{"HOME", "/nowhere"}, {"ATTUNE_TEST", "yes"}};
  ASSERT_OK_AND_ASSIGN(const auto process, Process::Start(spec));
  ASSERT_TRUE(Eventually([&] { return process->Poll(); }));
  EXPECT_EQ(process->first_line(), "/nowhere-yes");
}

TEST_F(ProcessTest, LogsOfSeveralStartsAreAppended) {
  for (int start = 0; start < 2; ++start) {
    ASSERT_OK_AND_ASSIGN(const auto process, Process::Start(Shell("echo start >&2")));
    ASSERT_TRUE(Eventually([&] { return process->Poll(); }));
  }
  EXPECT_EQ(Log(), "start\nstart\n");
}

TEST_F(ProcessTest, SaysWhyAProgramCannotBeStarted) {
  ProcessSpec spec = Shell("");
  spec.command = {"/absent/attune-coordinator"};
  EXPECT_THAT(Process::Start(spec),
              StatusIs(absl::StatusCode::kUnavailable,
                       "cannot start child (/absent/attune-coordinator): No such file"));
  spec = Shell("");
  spec.log_path = "/absent/child.log";
  EXPECT_THAT(Process::Start(spec), StatusIs(absl::StatusCode::kUnavailable, "/absent/child.log"));
}

TEST_F(ProcessTest, TerminateAsksAndKillForces) {
  ASSERT_OK_AND_ASSIGN(
      const auto polite,
      Process::Start(Shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")));
  ASSERT_TRUE(Eventually([&] { return polite->Poll() || polite->first_line().has_value(); }));
  polite->Terminate();
  ASSERT_TRUE(Eventually([&] { return polite->Poll(); }));
  EXPECT_EQ(polite->Outcome(), "exited with code 7");

  ASSERT_OK_AND_ASSIGN(const auto stubborn,
                       Process::Start(Shell("trap '' TERM; echo ready; exec sleep 1000")));
  ASSERT_TRUE(Eventually([&] { return stubborn->Poll() || stubborn->first_line().has_value(); }));
  stubborn->Terminate();
  EXPECT_FALSE(stubborn->Poll());
  stubborn->Kill();
  EXPECT_TRUE(stubborn->Poll());
  EXPECT_EQ(stubborn->Outcome(), "was killed by signal 9 (Killed)");
}

// Whether a process of that id is still there (a zombie does not count).
bool IsAlive(int pid) {
  const absl::StatusOr<std::string> stat =
      ReadFileRange(absl::StrCat("/proc/", pid, "/stat"), 0, 256);
  return stat.ok() && stat->find(") Z") == std::string::npos;
}

int GrandchildOf(Process& process) {
  int pid = 0;
  EXPECT_TRUE(Eventually([&] {
    process.Poll();
    return process.first_line().has_value() && absl::SimpleAtoi(*process.first_line(), &pid);
  }));
  return pid;
}

TEST_F(ProcessTest, GrandchildrenGoWithTheChild) {
  const std::string script = "sleep 1000 & echo $!; wait";
  ASSERT_OK_AND_ASSIGN(auto killed, Process::Start(Shell(script)));
  int grandchild = GrandchildOf(*killed);
  EXPECT_TRUE(IsAlive(grandchild));
  killed.reset();
  EXPECT_TRUE(Eventually([&] { return !IsAlive(grandchild); }));

  // Also when the child ends by itself.
  ASSERT_OK_AND_ASSIGN(const auto ended, Process::Start(Shell("sleep 1000 & echo $!; exit 0")));
  grandchild = GrandchildOf(*ended);
  ASSERT_TRUE(Eventually([&] { return ended->Poll(); }));
  EXPECT_TRUE(Eventually([&] { return !IsAlive(grandchild); }));
}

TEST_F(ProcessTest, TheTailOfALogIsIndented) {
  const std::string path = JoinPath(directory_, "x.log");
  EXPECT_EQ(LogTail(path, 2), "");
  ASSERT_OK(WriteFile(path, "one\ntwo\n\nthree\n"));
  EXPECT_EQ(LogTail(path, 2), "    two\n    three\n");
  EXPECT_EQ(LogTail(path, 20), "    one\n    two\n    three\n");
}

}  // namespace
}  // namespace attune
