#include "model/tokenizer/regex_syntax.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

std::string Translated(absl::string_view pattern) {
  const auto translated = Pcre2FromOniguruma(pattern);
  return translated.ok() ? *translated : std::string(translated.status().message());
}

TEST(RegexSyntaxTest, KeepsWhatIsCommon) {
  EXPECT_EQ(Translated("(?:ab|c*?)(?=d)(?<!e)(?<n>f)++"), "(?:ab|c*?)(?=d)(?<!e)(?<n>f)++");
  EXPECT_EQ(Translated(R"(\r\n\.\1)"), R"(\r\n\.\1)");
}

TEST(RegexSyntaxTest, WritesSetsAsCodePoints) {
  EXPECT_EQ(Translated("[a-cé-]"), R"([\x{61}-\x{63}\x{E9}\x{2D}])");
  EXPECT_EQ(Translated("[^a]"), R"([^\x{61}])");
}

TEST(RegexSyntaxTest, GroupsRepeatedIntervals) {
  EXPECT_EQ(Translated("ab{2,3}+"), "a(?:b{2,3})+");
  EXPECT_EQ(Translated("(ab){2}?"), "(?:(ab){2})?");
  EXPECT_EQ(Translated("a{,2}?"), "a{0,2}?");
  EXPECT_EQ(Translated("a{"), R"(a\{)");
}

TEST(RegexSyntaxTest, OptionsGovernTheRestOfTheirGroup) {
  EXPECT_EQ(Translated("(a(?i)b|c)d"), "(a(?i:b|c))d");
  EXPECT_EQ(Translated("(?m)."), "(?s:.)");
  EXPECT_EQ(Translated("a(?#comment)b"), "ab");
}

}  // namespace
}  // namespace attune
