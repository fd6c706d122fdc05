#include "serve/api_request.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "serve/api_error.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

std::string Chat(const std::string& fields) {
  return absl::StrCat(R"({"messages": [{"role": "user", "content": "Hi"}])",
                      fields.empty() ? "" : ", ", fields, "}");
}

std::string Completion(const std::string& fields) {
  return absl::StrCat(R"({"prompt": "Hi")", fields.empty() ? "" : ", ", fields, "}");
}

TEST(ApiRequestTest, DefaultsAreThoseOfTheApi) {
  ASSERT_OK_AND_ASSIGN(const ApiRequest completion, ParseCompletionRequest(Completion("")));
  EXPECT_EQ(completion.prompts, std::vector<ApiPrompt>{"Hi"});
  EXPECT_EQ(completion.n, 1);
  EXPECT_EQ(completion.sampling.max_new_tokens, 16);
  EXPECT_EQ(completion.sampling.temperature, 1);
  EXPECT_FALSE(completion.seed.has_value());
  EXPECT_FALSE(completion.stream || completion.logprobs || completion.is_chat);
  ASSERT_OK_AND_ASSIGN(const ApiRequest chat, ParseChatRequest(Chat("")));
  EXPECT_EQ(chat.messages_json, R"([{"content":"Hi","role":"user"}])");
  EXPECT_EQ(chat.sampling.max_new_tokens, kChatTokens);
  EXPECT_TRUE(chat.is_chat);
}

TEST(ApiRequestTest, ReadsEveryField) {
  ASSERT_OK_AND_ASSIGN(
      const ApiRequest request,
      ParseCompletionRequest(Completion(
          R"("model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 5,
             "min_p": 0.05, "min_tokens": 2, "repetition_penalty": 1.1, "n": 3,
             "seed": -1, "stop": "\n",
             "stream": true, "stream_options": {"include_usage": true}, "logprobs": 2)")));
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.sampling.max_new_tokens, 7);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 5);
  EXPECT_EQ(request.sampling.min_p, 0.05);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(request.sampling.min_new_tokens, 2);
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(request.seed, 0xffffffffffffffffu);
  EXPECT_EQ(request.stop, std::vector<std::string>{"\n"});
  EXPECT_TRUE(request.stream && request.include_usage && request.logprobs);
  EXPECT_EQ(request.top_logprobs, 2);
}

TEST(ApiRequestTest, PromptsHaveFourShapes) {
  const auto prompts = [](const std::string& json) {
    return ParseCompletionRequest(absl::StrCat(R"({"prompt": )", json, "}")).value().prompts;
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(prompts(R"("a")"), std::vector<ApiPrompt>({"a"}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), std::vector<ApiPrompt>({"a", "b"}));
  EXPECT_EQ(prompts("[1, 2]"), std::vector<ApiPrompt>({Ids{1, 2}}));
  EXPECT_EQ(prompts("[[1, 2], [3]]"), std::vector<ApiPrompt>({Ids{1, 2}, Ids{3}}));
}

TEST(ApiRequestTest, WhatChangesNothingIsIgnored) {
  EXPECT_OK(ParseChatRequest(Chat(
      R"("user": "u", "metadata": {"a": "b"}, "store": false, "tools": [], "tool_choice": "none",
         "logit_bias": {}, "frequency_penalty": 0, "presence_penalty": 0.0, "top_k": -1,
         "response_format": {"type": "text"}, "tool_thing": null, "max_tokens": null)")));
  EXPECT_OK(ParseCompletionRequest(
      Completion(R"("echo": false, "best_of": 1, "suffix": null, "logprobs": null)")));
}

TEST(ApiRequestTest, PartsOfAMessageAreJoined) {
  ASSERT_OK_AND_ASSIGN(const ApiRequest request, ParseChatRequest(R"({"messages": [
      {"role": "user", "name": "Ann", "tool_calls": null,
       "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]})"));
  EXPECT_EQ(request.messages_json, R"([{"content":"ab","name":"Ann","role":"user"}])");
}

struct BadBody {
  std::string body;
  const char* message;
  const char* field = nullptr;
};

void ExpectRefused(const absl::StatusOr<ApiRequest>& request, const BadBody& bad) {
  EXPECT_THAT(request, StatusIs(StatusCode::kInvalidArgument, bad.message)) << bad.body;
  const std::string param =
      bad.field == nullptr ? "\"param\":null" : absl::StrCat("\"param\":\"", bad.field, "\"");
  EXPECT_THAT(ErrorBody(request.status()), testing::HasSubstr(param)) << bad.body;
}

TEST(ApiRequestTest, RefusesBadCompletions) {
  const std::string stops = R"("stop": ["a","a","a","a","a","a","a","a","a","a","a","a","a","a",)"
                            R"("a","a","a"])";
  for (const BadBody& bad : std::vector<BadBody>{
           {"", "not JSON"},
           {"[1]", "must be a JSON object"},
           {R"({"prompt": "a", "prompt": "b"})", "prompt"},
           {"{}", "prompt is missing", "prompt"},
           {R"({"prompt": []})", "prompt must be", "prompt"},
           {R"({"prompt": [[]]})", "prompt must be", "prompt"},
           {R"({"prompt": ["a", 1]})", "prompt must be", "prompt"},
           {R"({"prompt": [-1]})", "prompt must be", "prompt"},
           {R"({"prompt": [4294967296]})", "prompt must be", "prompt"},
           {R"({"prompt": {"a": 1}})", "prompt must be", "prompt"},
           {Completion(R"("echo": true)"), "echo is not supported", "echo"},
           {Completion(R"("suffix": "x")"), "suffix is not supported", "suffix"},
           {Completion(R"("best_of": 2)"), "best_of is not supported but for the value 1",
            "best_of"},
           {Completion(R"("logit_bias": {"5": 1})"), "logit_bias is not", "logit_bias"},
           {Completion(R"("frequency_penalty": 0.1)"), "frequency_penalty", "frequency_penalty"},
           {Completion(R"("temprature": 0)"), "did you mean \"temperature\"?", "temprature"},
           {Completion(R"("model": 1)"), "model must be a string", "model"},
           {Completion(R"("n": 0)"), "n must be an integer from 1 to 128", "n"},
           {R"({"prompt": [[1], [2], [3], [4], [5], [6], [7], [8], [9]], "n": 128})",
            "makes 1152 choices; at most 1024", "n"},
           {Completion(R"("n": 1.5)"), "n must be an integer", "n"},
           {Completion(R"("max_tokens": 0)"), "max_tokens must be an integer of at least 1",
            "max_tokens"},
           {Completion(R"("max_tokens": 18446744073709551615)"), "max_tokens", "max_tokens"},
           {Completion(R"("temperature": "1")"), "temperature must be a number", "temperature"},
           {Completion(R"("temperature": -1)"), "temperature is -1"},
           {Completion(R"("top_p": 0)"), "top_p is 0"},
           {Completion(R"("min_tokens": 17)"), "min_tokens is 17 and max_tokens is 16",
            "min_tokens"},
           {Completion(R"("top_k": -2)"), "top_k must be", "top_k"},
           {Completion(R"("seed": 1.5)"), "seed must be an integer", "seed"},
           {Completion(R"("stop": 3)"), "stop must be", "stop"},
           {Completion(R"("stop": "")"), "stop must be", "stop"},
           {Completion(stops), "stop has 17 texts; at most 16", "stop"},
           {Completion(R"("stream": 1)"), "stream must be true or false", "stream"},
           {Completion(R"("stream_options": {"include_usage": true})"), "only for stream: true",
            "stream_options"},
           {Completion(R"("logprobs": true)"), "logprobs must be an integer from 0 to 20",
            "logprobs"},
           {Completion(R"("messages": [])"), "messages is not supported", "messages"}}) {
    ExpectRefused(ParseCompletionRequest(bad.body), bad);
  }
}

TEST(ApiRequestTest, RefusesBadChats) {
  for (const BadBody& bad : std::vector<BadBody>{
           {"{}", "messages is missing", "messages"},
           {R"({"messages": []})", "at least one message", "messages"},
           {R"({"messages": ["Hi"]})", "messages[0] must have a role", "messages[0]"},
           {R"({"messages": [{"content": "Hi"}]})", "messages[0] must have a role", "messages[0]"},
           {R"({"messages": [{"role": "user"}]})", "messages[0].content must be", "messages[0]"},
           {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
            "nothing else is supported", "messages[0]"},
           {R"({"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]})",
            "messages[0].tool_calls is not supported", "messages[0]"},
           {Chat(R"("tools": [{"type": "function"}])"), "tools is not supported", "tools"},
           {Chat(R"("response_format": {"type": "json_object"})"), "response_format",
            "response_format"},
           {Chat(R"("logprobs": 2)"), "logprobs must be true or false", "logprobs"},
           {Chat(R"("top_logprobs": 2)"), "top_logprobs needs logprobs: true", "top_logprobs"},
           {Chat(R"("logprobs": true, "top_logprobs": 21)"), "from 0 to 20", "top_logprobs"},
           {Chat(R"("prompt": "a")"), "prompt is not supported", "prompt"}}) {
    ExpectRefused(ParseChatRequest(bad.body), bad);
  }
}

}  // namespace
}  // namespace attune
