#include "common/log.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using ::testing::MatchesRegex;

TEST(LogTest, LineHasTimeLevelProcessAndMessage) {
  SetLogName("tester");
  ::testing::internal::CaptureStderr();
  LogWarning("round ", 2, ": ", 1.5);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9-]+T[0-9:.]+Z WARN  tester  round 2: 1.5\n"));
}

TEST(LogTest, LinesOfThreadsDoNotMix) {
  ::testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (char name : {'a', 'b', 'c'}) {
    threads.emplace_back([name] {
      for (int i = 0; i < 100; ++i) LogInfo(std::string(200, name));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string captured = ::testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(captured, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 300u);
  for (const std::string& line : lines) {
    EXPECT_EQ(line.substr(line.size() - 200), std::string(200, line.back()));
  }
}

}  // namespace
}  // namespace attune
