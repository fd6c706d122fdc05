#include "model/tool.h"

#include <sstream>
#include <string>
#include <vector>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using nlohmann::json;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
const std::string kModel = std::string(ATTUNE_SOURCE_DIR) + "/models/stories260k";

std::vector<json> Lines(const std::string& text) {
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

class ToolTest : public ::testing::Test {
 protected:
  GenerateCommand FileCommand(const std::string& lines) {
    const std::string file = directory_.File("prompts.jsonl");
    EXPECT_OK(WriteFile(file, lines));
    return {.model = kModel,
            .prompts_file = file,
            .sampling = {.temperature = 0.8, .max_new_tokens = 20},
            .num_generations = 2,
            .seed = 5};
  }

  ScratchDirectory directory_;
  std::ostringstream out_;
};

TEST_F(ToolTest, ContinuesAPromptAsText) {
  ASSERT_OK(RunGenerate({.model = kModel,
                         .prompt = "Once upon a time",
                         .sampling = {.temperature = 0, .max_new_tokens = 20}},
                        out_));
  EXPECT_THAT(out_.str(), StartsWith("Once upon a time, there was a little girl named Lily."));
}

TEST_F(ToolTest, EndsAResponseWithAStopText) {
  GenerateCommand command = {.model = kModel,
                             .prompt = "Once upon a time",
                             .sampling = {.temperature = 0, .max_new_tokens = 40},
                             .stop = {"Lily. She", "girl named", "nowhere"}};
  ASSERT_OK(RunGenerate(command, out_));
  EXPECT_EQ("Once upon a time, there was a little girl named\n", out_.str());
  out_.str("");
  command.json = true;
  ASSERT_OK(RunGenerate(command, out_));
  const json stopped = Lines(out_.str())[0];
  EXPECT_EQ(", there was a little girl named", stopped["text"]);
  EXPECT_EQ("stop", stopped["finish_reason"]);
  EXPECT_EQ(stopped["ids"].size(), stopped["logps"].size());
  command.stop = {""};
  EXPECT_THAT(RunGenerate(command, out_), StatusIs(kInvalid, "a stop text is empty"));
}

TEST_F(ToolTest, NoResponseIsShorterThanMinNewTokens) {
  GenerateCommand command = FileCommand("{\"prompt\": \"Once upon\"}");
  command.num_generations = 20;
  command.sampling.max_new_tokens = 400;
  const auto shortest = [&](int64_t min_new_tokens) {
    command.sampling.min_new_tokens = min_new_tokens;
    std::ostringstream out;
    EXPECT_OK(RunGenerate(command, out));
    size_t tokens = 400;
    for (const json& line : Lines(out.str())) tokens = std::min(tokens, line["ids"].size());
    return tokens;
  };
  EXPECT_LT(shortest(0), 300u);
  EXPECT_GT(shortest(300), 300u);
}

TEST_F(ToolTest, AnswersAFileInItsOrderWhateverTheBatches) {
  std::string prompts;
  for (int i = 0; i < 40; ++i) prompts += json{{"prompt", std::string(1 + i, 'a')}}.dump() + "\n";
  ASSERT_OK(RunGenerate(FileCommand(prompts), out_));
  const std::vector<json> lines = Lines(out_.str());
  ASSERT_EQ(80u, lines.size());
  for (int i = 0; i < 80; ++i) {
    EXPECT_EQ(std::string(1 + i / 2, 'a'), lines[i]["prompt"]);
    EXPECT_EQ(lines[i]["ids"].size(), lines[i]["logps"].size());
    const bool full = lines[i]["ids"].size() == 20;
    EXPECT_TRUE(lines[i]["finish_reason"] == (full ? "length" : "stop") ||
                lines[i]["finish_reason"] == "stop");
  }
  EXPECT_NE(lines[0]["ids"], lines[1]["ids"]);

  std::ostringstream first;
  ASSERT_OK(RunGenerate(FileCommand("{\"prompt\": \"a\"}\n"), first));
  EXPECT_EQ(lines[0], Lines(first.str())[0]);
  EXPECT_EQ(lines[1], Lines(first.str())[1]);
}

TEST_F(ToolTest, ScoresWhatItGenerated) {
  ASSERT_OK(RunGenerate(FileCommand("{\"prompt\": \"Once upon\"}"), out_));
  const json response = Lines(out_.str())[0];
  std::istringstream text("{\"text\": \"Once upon\"}");
  std::ostringstream tokens, scores;
  ASSERT_OK(RunTokenize(kModel, /*add_special_tokens=*/true, text, tokens));
  const json prompt_ids = Lines(tokens.str())[0]["ids"];
  std::istringstream line(
      json{{"prompt_ids", prompt_ids}, {"completion_ids", response["ids"]}}.dump());
  ASSERT_OK(RunLogprobs(kModel, line, scores));
  EXPECT_EQ(response["logps"], Lines(scores.str())[0]["logps"]);
}

TEST_F(ToolTest, TokenizesWithAndWithoutSpecialTokens) {
  for (const bool special : {true, false}) {
    std::istringstream in("{\"text\": \"Once upon a time\"}\n\n{\"text\": \"\"}\n");
    std::ostringstream out;
    ASSERT_OK(RunTokenize(kModel, special, in, out));
    const std::vector<json> lines = Lines(out.str());
    ASSERT_EQ(2u, lines.size());
    EXPECT_EQ(special ? json({1, 403, 407, 261, 378}) : json({403, 407, 261, 378}),
              lines[0]["ids"]);
    EXPECT_EQ("Once upon a time", lines[0]["decoded"]);
    EXPECT_EQ(special ? json({1}) : json::array(), lines[1]["ids"]);
  }
}

TEST_F(ToolTest, TokenizesTheReferencePrompts) {
  const std::string path =
      std::string(ATTUNE_SOURCE_DIR) + "/tests/data/stories260k_reference.json";
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(path));
  const json reference = json::parse(bytes);
  ASSERT_EQ(8u, reference["cases"].size());
  for (const json& one : reference["cases"]) {
    std::istringstream in(json{{"text", one["text"]}}.dump());
    std::ostringstream out;
    ASSERT_OK(RunTokenize(kModel, /*add_special_tokens=*/true, in, out));
    EXPECT_EQ(one["prompt_ids"], Lines(out.str())[0]["ids"]) << one["text"];
  }
}

TEST_F(ToolTest, ScoresIdsOfAModelWithoutATokenizer) {
  const std::string model = std::string(ATTUNE_SOURCE_DIR) + "/tests/data/nanogpt-sort-gpt2";
  std::istringstream ids(R"({"prompt_ids": [0, 0, 2, 1, 0, 1], "completion_ids": [0, 0, 0]})");
  ASSERT_OK(RunLogprobs(model, ids, out_));
  const json line = json::parse(out_.str());
  ASSERT_EQ(3u, line["logps"].size());
  EXPECT_GT(line["sum"].get<double>(), -0.1);  // it sorts
  std::istringstream text(R"({"prompt": "0", "completion": "1"})");
  EXPECT_THAT(RunLogprobs(model, text, out_),
              StatusIs(absl::StatusCode::kNotFound, "tokenizer.json"));
}

TEST_F(ToolTest, ScoresTextAfterAnEmptyPrompt) {
  std::istringstream in("{\"prompt\": \"\", \"completion\": \"Once upon a time\"}");
  ASSERT_OK(RunLogprobs(kModel, in, out_));
  const json line = Lines(out_.str())[0];
  EXPECT_EQ(4u, line["logps"].size());
  EXPECT_NEAR(-0.27409, line["sum"].get<double>(), 1e-4);  // the reference's sum_logprob_prompt
}

// A copy of the model, with a chat template.
class ToolChatTest : public ToolTest {
 protected:
  void SetUp() override {
    for (const char* name :
         {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
      ASSERT_OK(CopyFile(JoinPath(kModel, name), directory_.File(name)));
    }
    ASSERT_OK(WriteFile(directory_.File("chat_template.jinja"),
                        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
                        "{{ ' said' if add_generation_prompt }}"));
  }

  static std::string WithMessages(json line) {
    line["messages"] = {{{"role", "user"}, {"content", "Once upon"}},
                        {{"role", "user"}, {"content", " a time"}}};
    return line.dump();
  }
};

TEST_F(ToolChatTest, MessagesAreTokenisedAsTheirTemplateWritesThem) {
  std::istringstream in(WithMessages({}));
  ASSERT_OK(RunTokenize(directory_.path(), /*add_special_tokens=*/true, in, out_));
  std::istringstream text(R"({"text": "<s>Once upon a time said"})");
  std::ostringstream expected;
  ASSERT_OK(RunTokenize(kModel, /*add_special_tokens=*/false, text, expected));
  EXPECT_EQ(out_.str(), expected.str());
  EXPECT_EQ(Lines(out_.str())[0]["ids"][0], 1);  // <s>, once
  EXPECT_NE(Lines(out_.str())[0]["ids"][1], 1);
}

TEST_F(ToolChatTest, MessagesAreAnsweredAndScoredAsTheirTemplateWritesThem) {
  GenerateCommand command = FileCommand(WithMessages({}));
  command.model = directory_.path();
  command.num_generations = 1;
  ASSERT_OK(RunGenerate(command, out_));
  const json response = Lines(out_.str())[0];
  EXPECT_EQ(response["prompt"], "<s>Once upon a time said");
  std::istringstream in(WithMessages({{"completion", " hello"}}));
  std::istringstream plain(R"({"prompt": "Once upon a time said", "completion": " hello"})");
  std::ostringstream scored, expected;
  ASSERT_OK(RunLogprobs(directory_.path(), in, scored));
  ASSERT_OK(RunLogprobs(kModel, plain, expected));
  EXPECT_EQ(scored.str(), expected.str());  // <s> is what the tokenizer adds to plain text
}

TEST_F(ToolTest, MessagesNeedAChatTemplate) {
  std::istringstream in(R"({"messages": []})");
  EXPECT_THAT(RunTokenize(kModel, true, in, out_),
              StatusIs(absl::StatusCode::kNotFound, "has no chat template"));
}

TEST_F(ToolTest, NamesTheLineItRefuses) {
  EXPECT_THAT(RunGenerate(FileCommand("{\"prompt\": \"a\"}\n{\"promt\": \"b\"}\n"), out_),
              StatusIs(kInvalid, "line 2 of "));
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"{\"prompt\": 1}", "line 1 of the input: it has no \"prompt\""},
           {"\n{]", "line 2 of the input: it is not a JSON object"},
           {"{\"prompt_ids\": [1], \"completion_ids\": [-1]}", "no \"completion_ids\" that lists"},
           {"{\"prompt_ids\": [1], \"completion_ids\": [600]}", "completion is 600"}}) {
    std::istringstream in(text);
    EXPECT_THAT(RunLogprobs(kModel, in, out_), StatusIs(kInvalid, words));
  }
  GenerateCommand command =
      FileCommand("{\"prompt\": \"a\"}\n{\"prompt\": \"" + std::string(3000, 'b') + "\"}\n");
  EXPECT_THAT(RunGenerate(command, out_), StatusIs(kInvalid, "cannot answer prompt 2"));
  EXPECT_EQ("", out_.str());
}

TEST_F(ToolTest, NamesAModelThatIsNotThere) {
  std::istringstream in("");
  EXPECT_THAT(RunLogprobs(directory_.path(), in, out_),
              StatusIs(absl::StatusCode::kNotFound, "config.json"));
}

}  // namespace
}  // namespace attune
