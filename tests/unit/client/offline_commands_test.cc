#include <string>
#include <vector>

#include "client/commands.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

bool IsOffline(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return IsOfflineCommand(argv.data());
}

TEST(OfflineCommandsTest, AreThoseThatNeedNoCoordinator) {
  for (const char* name : {"generate", "tokenize", "logprobs", "inspect", "judge", "evaluate"}) {
    EXPECT_TRUE(IsOffline({"attune", name, "--model", "m"})) << name;
  }
  EXPECT_FALSE(IsOffline({"attune", "run", "judge"}));
  EXPECT_FALSE(IsOffline({"attune", "--help"}));
  EXPECT_FALSE(IsOffline({"attune"}));
}

TEST(OfflineCommandsTest, TheModelsOfAJobAreAskedOfItsCoordinator) {
  EXPECT_FALSE(IsOffline({"attune", "evaluate", "--job", "x", "--oracle", "o"}));
  EXPECT_FALSE(IsOffline({"attune", "evaluate", "--oracle", "o", "--job=x"}));
  EXPECT_TRUE(IsOffline({"attune", "evaluate", "--jobs"}));
}

}  // namespace
}  // namespace attune
