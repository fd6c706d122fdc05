#include "common/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using ::testing::HasSubstr;

TEST(ProcessTest, EnvironmentHasFallbacks) {
  ::setenv("ATTUNE_PROCESS_TEST", "here", 1);
  EXPECT_EQ(Environment("ATTUNE_PROCESS_TEST", "x"), "here");
  ::setenv("ATTUNE_PROCESS_TEST", "", 1);
  EXPECT_EQ(Environment("ATTUNE_PROCESS_TEST", "x"), "");
  ::unsetenv("ATTUNE_PROCESS_TEST");
  EXPECT_EQ(Environment("ATTUNE_PROCESS_TEST", "x"), "x");
}

TEST(ProcessTest, IdentityNamesTheProcess) {
  EXPECT_THAT(UniqueProcessId(), HasSubstr(absl::StrCat("-", ::getpid(), "-")));
}

TEST(ProcessTest, FindsItsOwnBinary) {
  EXPECT_TRUE(FileExists(JoinPath(BinaryDirectory(), "common_process_test")));
}

// A child starts a grandchild and dies; the pipe that only the grandchild still holds closes.
TEST(ProcessTest, DiesWithItsParent) {
  std::array<int, 2> life;
  std::array<int, 2> ready;
  ASSERT_EQ(::pipe(life.data()), 0);
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::fork() == 0) {
      DieWithParent(SIGKILL);
      if (::write(ready[1], "r", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    char byte = 0;
    if (::read(ready[0], &byte, 1) != 1) ::_exit(1);
    ::_exit(0);
  }
  ::close(life[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  char byte = 0;
  EXPECT_EQ(::read(life[0], &byte, 1), 0);  // end of file: nobody holds the other end
  ::close(life[0]);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace attune
