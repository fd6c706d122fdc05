#include "oracle/tool_accuracy.h"

#include <sstream>
#include <string>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "oracle/tool_json.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using testing::HasSubstr;

class ToolAccuracyTest : public testing::Test {
 protected:
  ToolAccuracyTest() {
    EXPECT_OK(WriteFile(directory_.File("a.yaml"), "kind: regex\npattern: a\n"));
    EXPECT_OK(WriteFile(directory_.File("short.yaml"), "kind: length\n"));
    EXPECT_OK(WriteFile(directory_.File("pairs.jsonl"),
                        R"({"prompt": "1", "chosen": "a a", "rejected": "b", "domain": "x"}
{"prompt": "2", "chosen": "a", "rejected": "b b", "domain": "y"}
{"prompt": "3", "chosen": "b b", "rejected": "a", "domain": "x"}
{"prompt": "4", "chosen": "b", "rejected": "c"}
)"));
    command_ = {.oracles = {directory_.File("a.yaml"), directory_.File("short.yaml")},
                .pairs = directory_.File("pairs.jsonl")};
  }

  ScratchDirectory directory_;
  PairsCommand command_;
  std::ostringstream out_;
};

TEST_F(ToolAccuracyTest, TellsTheAccuracyOfEachOracleBySplit) {
  command_.json = true;
  ASSERT_OK(RunPairAccuracy(command_, out_));
  const ToolJson report = ToolJson::parse(out_.str());
  ASSERT_EQ(2u, report["oracles"].size());
  const ToolJson& splits = report["oracles"][0]["splits"];
  ASSERT_EQ(3u, splits.size());
  EXPECT_EQ("all", splits[0]["split"]);
  EXPECT_EQ(4, splits[0]["pairs"]);
  EXPECT_EQ(2, splits[0]["correct"]);
  EXPECT_EQ(1, splits[0]["ties"]);  // counts as wrong
  EXPECT_EQ(0.5, splits[0]["accuracy"]["rate"]);
  EXPECT_NEAR(0.15, splits[0]["accuracy"]["low"].get<double>(), 0.005);
  EXPECT_EQ("x", splits[1]["split"]);
  EXPECT_EQ(0.5, splits[1]["accuracy"]["rate"]);
  EXPECT_EQ("y", splits[2]["split"]);
  EXPECT_EQ(1, splits[2]["accuracy"]["rate"]);
  // Of pair 1 they think differently, of pair 4 one of them has no opinion.
  EXPECT_EQ(0.25, report["disagreement"][0]["disagreement"]["rate"]);
}

TEST_F(ToolAccuracyTest, WritesTables) {
  ASSERT_OK(RunPairAccuracy(command_, out_));
  EXPECT_THAT(out_.str(), HasSubstr("ORACLE  SPLIT  PAIRS  ACCURACY"));
  EXPECT_THAT(out_.str(), HasSubstr("short   y          1     1.000"));
  EXPECT_THAT(out_.str(), HasSubstr("a       short        4     0.250"));
}

TEST_F(ToolAccuracyTest, AFileThatIsNotThereIsNamed) {
  command_.pairs = directory_.File("absent.jsonl");
  EXPECT_THAT(RunPairAccuracy(command_, out_),
              StatusIs(absl::StatusCode::kNotFound, "absent.jsonl"));
  command_.oracles = {directory_.File("absent.yaml")};
  EXPECT_THAT(RunPairAccuracy(command_, out_),
              StatusIs(absl::StatusCode::kInvalidArgument, "absent.yaml"));
}

}  // namespace
}  // namespace attune
