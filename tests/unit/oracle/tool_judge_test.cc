#include "oracle/tool_judge.h"

#include <sstream>
#include <string>
#include <vector>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "oracle/tool_json.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class ToolJudgeTest : public testing::Test {
 protected:
  absl::Status Judge(const std::string& oracle, const std::string& lines,
                     const std::string& model = "") {
    EXPECT_OK(WriteFile(directory_.File("oracle.yaml"), oracle));
    std::istringstream in(lines);
    out_.str("");
    return RunJudge({directory_.File("oracle.yaml"), model}, in, out_);
  }

  std::vector<ToolJson> Lines() const {
    std::vector<ToolJson> lines;
    std::istringstream in(out_.str());
    for (std::string line; std::getline(in, line);) lines.push_back(ToolJson::parse(line));
    return lines;
  }

  ScratchDirectory directory_;
  std::ostringstream out_;
};

TEST_F(ToolJudgeTest, AnswersEachLineInOrder) {
  ASSERT_OK(Judge("kind: length\ntarget_length: 2\n",
                  "{\"prompt\": \"p\", \"responses\": [\"one\", \"one two\"]}\n\n"
                  "{\"messages\": [{\"role\": \"user\", \"content\": \"p\"}],"
                  " \"responses\": [\"\"], \"answer\": \"7\"}\n"));
  const std::vector<ToolJson> lines = Lines();
  ASSERT_EQ(2u, lines.size());
  EXPECT_EQ(ToolJson::parse("[-1.0, 0.0]"), lines[0]["scores"]);
  EXPECT_EQ("length/1", lines[0]["oracle"]);
  EXPECT_EQ(64u, lines[0]["oracle_digest"].get<std::string>().size());
  EXPECT_FALSE(lines[0].contains("preferences"));
  EXPECT_EQ(ToolJson::parse("[-2.0]"), lines[1]["scores"]);
}

TEST_F(ToolJudgeTest, ATokenizerCountsTokensInsteadOfWords) {
  ASSERT_OK(Judge("kind: length\n", R"({"prompt": "p", "responses": ["Once upon a time"]})",
                  JoinPath(ATTUNE_SOURCE_DIR, "models/stories260k")));
  EXPECT_EQ(-4.0, Lines()[0]["scores"][0]);
  ASSERT_OK(Judge("kind: length\n", R"({"prompt": "p", "responses": ["unbelievably"]})",
                  JoinPath(ATTUNE_SOURCE_DIR, "models/stories260k")));
  EXPECT_LT(Lines()[0]["scores"][0], -1.0);
}

TEST_F(ToolJudgeTest, ProbabilitiesAreRowsOfAMatrix) {
  ASSERT_OK(Judge("kind: bradley_terry\nparts: {oracle: {kind: regex, pattern: a}}\n",
                  R"({"prompt": "p", "responses": ["a", "aa", ""]})"));
  const ToolJson preferences = Lines()[0]["preferences"];
  ASSERT_EQ(3u, preferences.size());
  EXPECT_EQ(0.5, preferences[1][1]);
  EXPECT_NEAR(0.7310585786, preferences[1][0].get<double>(), 1e-9);
}

TEST_F(ToolJudgeTest, AFailedJudgementIsAFailureAndNoScore) {
  const absl::Status status =
      Judge("kind: numeric\n",
            "{\"prompt\": \"p\", \"responses\": [\"7\"]}\n"
            "{\"prompt\": \"p\", \"responses\": [\"7\"], \"gold\": \"7\"}\n");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, "1 of 2 judgements failed"));
  const std::vector<ToolJson> lines = Lines();
  ASSERT_EQ(2u, lines.size());
  EXPECT_FALSE(lines[0].contains("scores"));
  EXPECT_FALSE(lines[0]["failure"].get<std::string>().empty());
  EXPECT_EQ(1.0, lines[1]["scores"][0]);
}

TEST_F(ToolJudgeTest, BadInputIsRefusedByItsLineBeforeAnythingIsJudged) {
  const std::string good = "{\"prompt\": \"p\", \"responses\": [\"a\"]}\n";
  const std::pair<const char*, const char*> bad[] = {
      {"{", "not a JSON object"},
      {"{\"prompt\": \"p\"}", "no \"responses\""},
      {"{\"prompt\": \"p\", \"responses\": []}", "at least one"},
      {"{\"prompt\": \"p\", \"responses\": [3]}", "must be texts, one is number"},
      {"{\"responses\": [\"a\"]}", "\"prompt\" is missing"}};
  for (const auto& [line, problem] : bad) {
    const absl::Status status = Judge("kind: length\n", good + "\n" + line);
    EXPECT_THAT(status, StatusIs(kInvalid, "line 3")) << line;
    EXPECT_THAT(status, StatusIs(kInvalid, problem)) << line;
    EXPECT_EQ("", out_.str());
  }
  EXPECT_THAT(Judge("kind: lengt\n", good), StatusIs(kInvalid, "oracle.yaml"));
}

}  // namespace
}  // namespace attune
