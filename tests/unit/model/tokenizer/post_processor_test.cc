#include "model/tokenizer/post_processor.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
using Ids = std::vector<int32_t>;

constexpr char kTemplate[] = R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
               {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "pair": [],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                       "</s>": {"id": "</s>", "ids": [2, 3], "tokens": ["a", "b"]}}})";

Ids Apply(const std::string& json, bool add_special_tokens) {
  const JsonFixture fixture(json);
  const auto processor = PostProcessor::Parse(fixture.json());
  EXPECT_OK(processor);
  return processor.ok() ? processor->Apply({7, 8}, add_special_tokens) : Ids{};
}

TEST(PostProcessorTest, TemplatesPutTokensAround) {
  EXPECT_EQ(Apply(kTemplate, true), (Ids{1, 7, 8, 2, 3}));
  EXPECT_EQ(Apply(kTemplate, false), (Ids{7, 8}));
}

TEST(PostProcessorTest, OthersLeaveIdsAlone) {
  EXPECT_EQ(Apply("null", true), (Ids{7, 8}));
  EXPECT_EQ(Apply(R"({"type": "ByteLevel", "trim_offsets": true})", true), (Ids{7, 8}));
}

TEST(PostProcessorTest, SequencesApplyInOrder) {
  const std::string json = std::string(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel"}, )") +
                           kTemplate + "]}";
  EXPECT_EQ(Apply(json, true), (Ids{1, 7, 8, 2, 3}));
}

TEST(PostProcessorTest, AroundPutsIdsAround) {
  EXPECT_EQ(PostProcessor::Around({1}, {2, 3}).Apply({7, 8}, true), (Ids{1, 7, 8, 2, 3}));
  EXPECT_EQ(PostProcessor::Around({1}, {2, 3}).Apply({7, 8}, false), (Ids{7, 8}));
}

TEST(PostProcessorTest, RefusesByName) {
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "BertProcessing"})", "component 'BertProcessing' is not supported"},
           {R"({"type": "RobertaProcessing"})", "'RobertaProcessing'"},
           {R"({"type": "TemplateProcessing"})", "single: missing"},
           {R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]})",
            "sequence A only"},
           {R"({"type": "TemplateProcessing", "single": [{}]})", "single[0]"},
           {R"({"type": "TemplateProcessing", "single": []})", "sequence A 0 times"},
           {R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}},
                                                         {"Sequence": {"id": "A"}}]})",
            "single: has sequence A 2 times"},
           {R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}],
                "special_tokens": {}})",
            "'<s>' is not among"},
           {R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
                "special_tokens": {"x": {"ids": ["1"]}}})",
            "ids[0]"}}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(PostProcessor::Parse(fixture.json()), StatusIs(kInvalid, words)) << json;
  }
}

}  // namespace
}  // namespace attune
