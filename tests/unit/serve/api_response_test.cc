#include "serve/api_response.h"

#include <limits>

#include "gtest/gtest.h"

namespace attune {
namespace {

AnswerHead Head(bool is_chat) {
  return {.id = "x-1",
          .created = 12,
          .model = "m",
          .fingerprint = "fp_0",
          .seed = 9007199254740991,
          .is_chat = is_chat};
}

TokenReport Token(const std::string& text, float logp, int64_t offset) {
  return {
      .token = {text, logp}, .top = {{text, logp}, {"\xEF\xBF\xBD", -2.5f}}, .text_offset = offset};
}

TEST(ApiResponseTest, CompletionIsOpenAis) {
  AnswerHead head = Head(/*is_chat=*/false);
  head.logprobs = true;
  const ChoiceDelta choice{.index = 0,
                           .text = " a",
                           .tokens = {Token(" a", -0.5f, 0)},
                           .finish_reason = "stop",
                           .is_first = true};
  EXPECT_EQ(ToText(AnswerJson(head, {choice}, {.prompt_tokens = 3, .completion_tokens = 1})),
            R"({"id":"x-1","object":"text_completion","created":12,"model":"m",)"
            R"("system_fingerprint":"fp_0","seed":9007199254740991,"choices":[{"index":0,)"
            R"("text":" a","logprobs":{"tokens":[" a"],"token_logprobs":[-0.5],)"
            "\"top_logprobs\":[{\" a\":-0.5,\"\xEF\xBF\xBD\":-2.5}],\"text_offset\":[0]},"
            R"("finish_reason":"stop"}],)"
            R"("usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}})");
}

TEST(ApiResponseTest, ChatIsOpenAis) {
  AnswerHead head = Head(/*is_chat=*/true);
  const ChoiceDelta choice{.index = 1, .text = "Hi", .finish_reason = "length", .is_first = true};
  EXPECT_EQ(ToText(AnswerJson(head, {choice}, {})),
            R"({"id":"x-1","object":"chat.completion","created":12,"model":"m",)"
            R"("system_fingerprint":"fp_0","seed":9007199254740991,"choices":[{"index":1,)"
            R"("message":{"role":"assistant","content":"Hi"},"logprobs":null,)"
            R"("finish_reason":"length"}],)"
            R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}})");
  head.logprobs = true;
  const auto answer = AnswerJson(head, {{.tokens = {Token("é", -0.5f, 0)}}}, {});
  EXPECT_EQ(ToText(answer["choices"][0]["logprobs"]),
            "{\"content\":[{\"token\":\"é\",\"logprob\":-0.5,\"bytes\":[195,169],"
            "\"top_logprobs\":[{\"token\":\"é\",\"logprob\":-0.5,\"bytes\":[195,169]},"
            "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-2.5,\"bytes\":null}]}]}");
}

TEST(ApiResponseTest, ChunksOfAChatBeginWithTheRole) {
  AnswerHead head = Head(/*is_chat=*/true);
  const auto delta = [&](const ChoiceDelta& gained) {
    return ToText(ChunkJson(head, gained)["choices"][0]);
  };
  EXPECT_EQ(delta({.text = "a", .is_first = true}),
            R"({"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":null,)"
            R"("finish_reason":null})");
  EXPECT_EQ(delta({.text = "b"}),
            R"({"index":0,"delta":{"content":"b"},"logprobs":null,"finish_reason":null})");
  EXPECT_EQ(delta({.finish_reason = "stop"}),
            R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"})");
}

TEST(ApiResponseTest, UsageIsALastChunk) {
  AnswerHead head = Head(/*is_chat=*/true);
  EXPECT_FALSE(ChunkJson(head, {}).contains("usage"));
  head.include_usage = true;
  EXPECT_TRUE(ChunkJson(head, {})["usage"].is_null());
  const auto last = UsageChunkJson(head, {.prompt_tokens = 2, .completion_tokens = 3});
  EXPECT_EQ(last["object"], "chat.completion.chunk");
  EXPECT_TRUE(last["choices"].is_array() && last["choices"].empty());
  EXPECT_EQ(last["usage"]["total_tokens"], 5);
}

TEST(ApiResponseTest, WhatJsonCannotSayIsReplaced) {
  AnswerHead head = Head(/*is_chat=*/true);
  head.logprobs = true;
  const TokenReport never{.token = {"\xff", -std::numeric_limits<float>::infinity()}};
  const std::string text = ToText(ChunkJson(head, {.tokens = {never}}));
  EXPECT_NE(text.find("\"logprob\":-9999.0"), std::string::npos) << text;
  EXPECT_NE(text.find("\xEF\xBF\xBD"), std::string::npos) << text;
}

TEST(ApiResponseTest, EventsEndWithAnEmptyLine) {
  EXPECT_EQ(ServerSentEvent("[DONE]"), "data: [DONE]\n\n");
}

}  // namespace
}  // namespace attune
