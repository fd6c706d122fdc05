// kill -9 of a writer, again and again on the same directory. The writer is this program itself,
// started anew so that it has threads of its own (a forked RocksDB has none).
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/process.h"
#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/store.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/storage/temporary_store.h"

namespace attune {
namespace {

constexpr uint32_t kPairs = 40;
constexpr int kAckDescriptor = 9;
constexpr const char* kDirectoryVariable = "ATTUNE_TEST_STORE_DIRECTORY";

// 4 KiB that do not compress.
std::string Noise(uint64_t key) {
  const CounterRng rng(key);
  std::string text;
  for (uint64_t i = 0; i < 256; ++i)
    absl::StrAppend(&text, absl::Hex(rng.Bits(i), absl::kZeroPad16));
  return text;
}

absl::Status WriteRound(Store& store, v1::Job& job, uint32_t round) {
  job.set_round(round);
  const v1::RoundRecord record = MakeRound(round);
  Commit commit{.job = &job, .round = &record, .events = {MakeEvent(round + 1)}};
  for (uint32_t i = 0; i < kPairs; ++i) {
    commit.pairs.push_back(MakePair(round, i, Noise(uint64_t{round} << 32 | i)));
    commit.holdout_judgments.push_back(MakeJudgment(i, round));
  }
  return store.Write(job.ordinal(), commit);
}

// The child: writes rounds for ever and acknowledges each on the pipe once it is stored.
TEST(StoreCrashWriter, DISABLED_WritesUntilKilled) {
  const std::string directory = Environment(kDirectoryVariable, "");
  if (directory.empty()) GTEST_SKIP() << "started by StoreCrashTest alone";
  ASSERT_OK_AND_ASSIGN(const auto store, Store::Open(directory));
  ASSERT_OK_AND_ASSIGN(v1::Job job, store->CreateJob(MakeJob("a"), "request"));
  for (uint32_t round = job.round() + 1;; ++round) {
    ASSERT_OK(WriteRound(*store, job, round));
    ASSERT_EQ(::write(kAckDescriptor, &round, sizeof(round)), sizeof(round));
  }
}

struct Writer {
  pid_t pid;
  int acks;
};

Writer StartWriter(const std::string& directory) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv(kDirectoryVariable, directory.c_str(), 1);
    ::dup2(ends[1], kAckDescriptor);
    ::execl("/proc/self/exe", "store_crash_test", "--gtest_also_run_disabled_tests",
            "--gtest_filter=StoreCrashWriter.*", nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  return {pid, ends[0]};
}

// The last round acknowledged among the next `count` (or fewer, at the end of the pipe).
uint32_t ReadAcks(const Writer& writer, int count, uint32_t last) {
  uint32_t round;
  while (count-- > 0 && ::read(writer.acks, &round, sizeof(round)) == sizeof(round)) {
    EXPECT_EQ(round, last + 1);
    last = round;
  }
  return last;
}

// Every round is there as a whole, up to one after the last acknowledged; the number of rounds.
uint32_t CheckRounds(const std::string& directory, uint32_t acknowledged) {
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(directory);
  EXPECT_OK(store);
  if (!store.ok()) return 0;
  const v1::Job job = *(*store)->GetJob("jobs/a");
  EXPECT_GE(job.round(), acknowledged);
  EXPECT_LE(job.round(), acknowledged + 1);
  EXPECT_EQ((*store)->ListRounds(1)->size(), job.round());
  EXPECT_EQ(*(*store)->LastEventSequence(1), job.round() + 1);
  for (uint32_t round = 1; round <= job.round() + 1; ++round) {
    uint32_t pairs = 0;
    EXPECT_OK((*store)->VisitPairs(1, round, [&](const v1::Pair& pair) {
      EXPECT_EQ(pair.index(), pairs++);
      EXPECT_EQ(pair.prompt(), Noise(uint64_t{round} << 32 | pair.index()));
      return true;
    }));
    EXPECT_EQ(pairs, round <= job.round() ? kPairs : 0);
    EXPECT_EQ((*store)->ListHoldoutJudgments(1, round)->size(), pairs);
  }
  return job.round();
}

class StoreCrashTest : public StoreFixture {};

TEST_F(StoreCrashTest, KillLosesNothingAcknowledgedAndLeavesNoHalfCommit) {
  uint32_t rounds = 0;
  for (int life = 1; life <= 6; ++life) {
    const Writer writer = StartWriter(directory_);
    uint32_t acknowledged = ReadAcks(writer, 23 * life, rounds);
    EXPECT_EQ(acknowledged, rounds + 23 * life) << "the writer stopped by itself";
    if (life == 1) {
      EXPECT_THAT(Store::Open(directory_),
                  StatusIs(absl::StatusCode::kFailedPrecondition, directory_));
    }
    ::kill(writer.pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(writer.pid, &status, 0), writer.pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    acknowledged = ReadAcks(writer, 1 << 30, acknowledged);  // those still in the pipe
    ::close(writer.acks);
    rounds = CheckRounds(directory_, acknowledged);
  }
  EXPECT_GE(rounds, 23 * 21);
}

}  // namespace
}  // namespace attune
