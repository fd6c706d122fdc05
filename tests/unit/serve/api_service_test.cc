#include "serve/api_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const char kModel[] = ATTUNE_SOURCE_DIR "/models/stories260k";
const char kPrompt[] = R"("prompt": "Once upon a time", "seed": 1)";

class ApiServiceTest : public testing::Test {
 protected:
  HttpReply Handle(const std::string& method, const std::string& path, const std::string& body = "",
                   const std::string& authorization = "") {
    return service_.Handle({.method = method,
                            .path = path,
                            .authorization = authorization,
                            .body = body,
                            .is_gone = [this] { return is_gone_; }});
  }

  HttpReply Complete(const std::string& fields) {
    return Handle("POST", "/v1/completions", absl::StrCat("{", kPrompt, fields, "}"));
  }

  static std::string Events(const HttpReply& reply) {
    std::string events;
    EXPECT_TRUE(reply.stream([&](absl::string_view piece) {
      absl::StrAppend(&events, piece);
      return true;
    }));
    return events;
  }

  bool is_gone_ = false;
  EngineThread engine_{{.sequences_max = 1}, /*waiting_max=*/1};
  ApiService service_{LoadServedModel(kModel, "", std::nullopt).value(), engine_, ""};
};

TEST_F(ApiServiceTest, AnswersWholeOrInEvents) {
  const HttpReply whole = Complete("");
  EXPECT_EQ(whole.status, 200);
  EXPECT_THAT(whole.body, HasSubstr(R"("completion_tokens":16)"));
  const HttpReply stream = Complete(R"(, "stream": true)");
  EXPECT_EQ(stream.content_type, "text/event-stream");
  const std::string events = Events(stream);
  EXPECT_THAT(events, StartsWith("data: {"));
  EXPECT_THAT(events, EndsWith("data: [DONE]\n\n"));
}

TEST_F(ApiServiceTest, TooManyRequestsAreAskedToComeLater) {
  std::vector<HttpReply> replies;
  while (replies.size() < 50 && (replies.empty() || replies.back().status == 200)) {
    replies.push_back(Complete(R"(, "stream": true, "max_tokens": 400, "min_tokens": 400)"));
  }
  EXPECT_EQ(replies.front().status, 200);
  EXPECT_EQ(replies.back().status, 429);
  EXPECT_GT(replies.back().retry_after_seconds, 0);
  EXPECT_THAT(replies.back().body, HasSubstr("rate_limit_exceeded"));
}

TEST_F(ApiServiceTest, DrainingLetsEndWhatRuns) {
  HttpReply running = Complete(R"(, "stream": true)");
  service_.StartDraining();
  EXPECT_EQ(Complete("").status, 503);
  EXPECT_EQ(Handle("GET", "/health").status, 503);
  EXPECT_EQ(Handle("GET", "/v1/models").status, 200);
  EXPECT_FALSE(service_.AwaitIdle(absl::ZeroDuration()));
  EXPECT_THAT(Events(running), EndsWith("data: [DONE]\n\n"));
  running.stream = nullptr;
  EXPECT_TRUE(service_.AwaitIdle(absl::InfiniteDuration()));
}

TEST_F(ApiServiceTest, AbortEndsItWithAnError) {
  service_.Abort();
  const HttpReply reply = Complete(R"(, "n": 100, "max_tokens": 500, "min_tokens": 500)");
  EXPECT_EQ(reply.status, 503);
  const HttpReply stream = Complete(
      R"(, "stream": true, "n": 100, "max_tokens": 500, "min_tokens": 500, "logprobs": 1)");
  const std::string events = Events(stream);
  EXPECT_THAT(events, HasSubstr("the server is stopping"));
  EXPECT_THAT(events, Not(HasSubstr("[DONE]")));
}

TEST_F(ApiServiceTest, NobodyWaitsForAClientThatHasGone) {
  is_gone_ = true;
  const HttpReply reply = Complete(R"(, "max_tokens": 500, "min_tokens": 500, "n": 100)");
  EXPECT_EQ(reply.status, 503);
  EXPECT_TRUE(service_.AwaitIdle(absl::ZeroDuration()));
  is_gone_ = false;
  EXPECT_EQ(Complete("").status, 200);  // the engine is free again
}

TEST_F(ApiServiceTest, AKeyGuardsTheApiButNotItsHealth) {
  ApiService guarded(LoadServedModel(kModel, "", std::nullopt).value(), engine_, "sesame");
  const auto status = [&](const std::string& path, const std::string& authorization) {
    return guarded.Handle({.method = "GET", .path = path, .authorization = authorization}).status;
  };
  EXPECT_EQ(status("/v1/models", ""), 401);
  EXPECT_EQ(status("/v1/models", "Bearer sesam"), 401);
  EXPECT_EQ(status("/v1/models", "Bearer sesame "), 401);
  EXPECT_EQ(status("/v1/models", "Bearer sesame"), 200);
  EXPECT_EQ(status("/health", ""), 200);
}

TEST_F(ApiServiceTest, CountsItsReplies) {
  EXPECT_EQ(Handle("GET", "/v1/none").status, 404);
  EXPECT_EQ(Handle("POST", "/v1/models").status, 405);
  const std::string text = Handle("GET", "/metrics").body;
  EXPECT_THAT(text, HasSubstr("attune_serve_replies_total{status=\"404\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("attune_serve_replies_total{status=\"405\"} 1\n"));
}

}  // namespace
}  // namespace attune
