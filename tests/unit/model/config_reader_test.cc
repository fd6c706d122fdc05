#include "model/config_reader.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

class ConfigReaderTest : public ::testing::Test {
 protected:
  ConfigReader Reader(const std::string& text) {
    json_ = Json::parse(text);
    return ConfigReader(&json_, "x.", &problems_);
  }

  Json json_;
  std::vector<std::string> problems_;
};

TEST_F(ConfigReaderTest, ReturnsWhatIsThereAndTheFallbackWhereNothingIs) {
  ConfigReader reader = Reader(R"({"n": 3, "f": 0.5, "i": 2, "b": true, "s": "a", "ids": [4, 5]})");
  EXPECT_EQ(3, reader.Size("n", 3, 9));
  EXPECT_EQ(9, reader.Size("none", 3, 9));
  EXPECT_EQ(0.5, reader.Number("f", 9));
  EXPECT_EQ(2, reader.Number("i", 9));
  EXPECT_EQ(9, reader.Number("none", 9));
  EXPECT_TRUE(reader.Bool("b", false));
  EXPECT_TRUE(reader.Bool("none", true));
  EXPECT_EQ("a", reader.Text("s", "z"));
  EXPECT_EQ("z", reader.Text("none", "z"));
  EXPECT_THAT(reader.TokenIds("ids", {1}), ElementsAre(4, 5));
  EXPECT_THAT(reader.TokenIds("n", {1}), ElementsAre(3));
  EXPECT_THAT(reader.TokenIds("none", {1}), ElementsAre(1));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(ConfigReaderTest, NullMeansNoneWhereThatIsPossible) {
  ConfigReader reader = Reader(R"({"a": null})");
  EXPECT_EQ(nullptr, reader.Find("a"));
  EXPECT_EQ(std::nullopt, reader.OptionalSize("a", 9, 5));
  EXPECT_EQ(5, reader.OptionalSize("none", 9, 5));
  EXPECT_EQ(std::nullopt, reader.OptionalNumber("a", 5));
  EXPECT_FALSE(reader.Bool("a", true));
  EXPECT_THAT(reader.TokenIds("a", {1}), IsEmpty());
  EXPECT_THAT(problems_, IsEmpty());
  EXPECT_EQ(5, reader.Size("a", 9, 5));
  EXPECT_THAT(problems_, ElementsAre("x.a is null; it must be from 1 to 9"));
}

TEST_F(ConfigReaderTest, CollectsProblemsWithNameValueAndWhatIsSupported) {
  ConfigReader reader = Reader(R"({"n": 4, "f": -1, "b": 1, "s": 2, "ids": ["</s>"]})");
  EXPECT_EQ(2, reader.Size("n", 3, 2));
  EXPECT_EQ(7, reader.Number("f", 7));
  EXPECT_TRUE(reader.Bool("b", true));
  EXPECT_EQ("z", reader.Text("s", "z"));
  EXPECT_THAT(reader.TokenIds("ids", {1}), ElementsAre(1));
  EXPECT_THAT(problems_,
              ElementsAre("x.n is 4; it must be an integer from 1 to 3",
                          "x.f is -1; it must be a positive number, 1e-20 to 1e20",
                          "x.b is 1; it must be true or false", "x.s is 2; it must be a string",
                          "x.ids is [\"</s>\"]; it must be a token id or a list of them"));
}

TEST_F(ConfigReaderTest, RefusesNumbersThatNoIntegerOrFloatHolds) {
  for (const char* value : {"0", "-3", "1.5", "1e300", "18446744073709551615", "\"8\"", "[8]"}) {
    ConfigReader reader = Reader(std::string("{\"n\": ") + value + "}");
    EXPECT_EQ(2, reader.Size("n", int64_t{1} << 40, 2)) << value;
  }
  EXPECT_THAT(problems_, SizeIs(7));
  problems_.clear();
  for (const char* value : {"0", "1e-30", "1e300", "true"}) {
    ConfigReader reader = Reader(std::string("{\"n\": ") + value + "}");
    EXPECT_EQ(2, reader.Number("n", 2)) << value;
  }
  EXPECT_THAT(problems_, SizeIs(4));
}

TEST_F(ConfigReaderTest, ShowsTheBeginningOfALongValue) {
  ConfigReader reader = Reader("{\"s\": \"" + std::string(10000, 'a') + "\"}");
  reader.Refuse("s", *reader.Find("s"), "no");
  EXPECT_THAT(problems_[0], AllOf(HasSubstr("aaa...; no"), SizeIs(testing::Lt(300u))));
}

TEST_F(ConfigReaderTest, KnowsWhatIsOff) {
  ConfigReader reader = Reader(
      R"({"a": null, "b": false, "c": 0, "d": "", "e": [], "f": {}, "g": true, "h": 1, "i": [0]})");
  for (const char* name : {"a", "b", "c", "d", "e", "f", "none"}) {
    EXPECT_TRUE(reader.IsOff(name)) << name;
  }
  for (const char* name : {"g", "h", "i"}) EXPECT_FALSE(reader.IsOff(name)) << name;
}

TEST_F(ConfigReaderTest, NamesFileAndByteOfASyntaxError) {
  const ScratchDirectory directory;
  const std::string path = directory.File("config.json");
  ASSERT_OK(WriteFile(path, "{\"a\": 1,}"));
  EXPECT_THAT(ReadJsonObject(path), StatusIs(absl::StatusCode::kInvalidArgument, path));
  EXPECT_THAT(ReadJsonObject(path), StatusIs(absl::StatusCode::kInvalidArgument, "at byte 8"));
  ASSERT_OK(WriteFile(path, std::string(100000, '[')));
  EXPECT_THAT(ReadJsonObject(path), StatusIs(absl::StatusCode::kInvalidArgument, "deeper than"));
}

}  // namespace
}  // namespace attune
