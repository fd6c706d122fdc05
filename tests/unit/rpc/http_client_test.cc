#include "rpc/http_client.h"

#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/http_server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::HasSubstr;

absl::StatusOr<json> PostTo(const std::string& url, absl::Duration timeout = absl::Seconds(60)) {
  HttpClient client;
  return client.Post({.url = url, .body = {{"query", {"a"}}}, .timeout = timeout});
}

// To a server that answers every request with the same bytes.
absl::StatusOr<json> PostForAnswer(const std::string& answer) {
  HttpTestServer server([&](const std::string&) { return answer; });
  return PostTo(server.url());
}

TEST(HttpClientTest, SendsJsonAndReadsJson) {
  std::string seen;
  HttpTestServer server([&](const std::string& request) {
    seen = request;
    return HttpAnswer("200 OK", R"({"rewards": [1.5]})");
  });
  HttpClient client;
  ASSERT_OK_AND_ASSIGN(const json answer, client.Post({.url = server.url() + "/get_reward",
                                                       .body = {{"query", {"\"ä\""}}},
                                                       .bearer = "secret",
                                                       .timeout = absl::Seconds(60)}));
  EXPECT_EQ(answer, json::parse(R"({"rewards": [1.5]})"));
  EXPECT_THAT(seen, HasSubstr("POST /get_reward HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Bearer secret\r\n"));
  EXPECT_EQ(HttpBody(seen), R"({"query":["\"ä\""]})");
}

TEST(HttpClientTest, GetsWithoutABody) {
  std::string seen;
  HttpTestServer server([&](const std::string& request) {
    seen = request;
    return HttpAnswer("200 OK", R"({"data": []})");
  });
  HttpClient client;
  EXPECT_OK(client.Post({.url = server.url(), .body = {}, .timeout = absl::Seconds(60)}));
  ASSERT_OK_AND_ASSIGN(const json answer,
                       client.Get(server.url() + "/v1/models", "secret", absl::Seconds(60)));
  EXPECT_EQ(answer, json::parse(R"({"data": []})"));
  EXPECT_THAT(seen, HasSubstr("GET /v1/models HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Bearer secret\r\n"));
  EXPECT_EQ(HttpBody(seen), "");
}

TEST(HttpClientTest, SendsNoKeyUnlessThereIsOne) {
  std::string seen;
  HttpTestServer server([&](const std::string& request) {
    seen = request;
    return HttpAnswer("201 Created", "{}");
  });
  EXPECT_OK(PostTo(server.url()));
  EXPECT_THAT(seen, testing::Not(HasSubstr("Authorization")));
}

TEST(HttpClientTest, ALongRequestArrivesWhole) {
  HttpTestServer server([](const std::string& request) {
    return HttpAnswer("200 OK", std::to_string(HttpBody(request).size()));
  });
  HttpClient client;
  const json body = std::string(3'000'000, 'a');
  ASSERT_OK_AND_ASSIGN(
      const json answer,
      client.Post({.url = server.url(), .body = body, .timeout = absl::Seconds(60)}));
  EXPECT_EQ(answer, 3'000'002);
}

TEST(HttpClientTest, WaitsForAnAnswerOnlySoLong) {
  HttpTestServer* running = nullptr;
  HttpTestServer server([&](const std::string&) { return running->HangUntilStopped(); });
  running = &server;
  EXPECT_THAT(PostTo(server.url(), absl::Milliseconds(50)),
              StatusIs(StatusCode::kDeadlineExceeded, "no answer within 50ms"));
}

TEST(HttpClientTest, AServerThatIsNotThereIsUnavailable) {
  std::string url;
  {
    HttpTestServer server([](const std::string&) { return ""; });
    url = server.url();
    EXPECT_THAT(PostTo(url), StatusIs(StatusCode::kUnavailable, "no answer"));  // hangs up
  }
  EXPECT_THAT(PostTo(url), StatusIs(StatusCode::kUnavailable, "no answer"));
}

TEST(HttpClientTest, HalfAnAnswerIsNone) {
  EXPECT_THAT(PostForAnswer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"rewards\": [1"),
              StatusIs(StatusCode::kInternal, "incomplete"));
  EXPECT_THAT(PostForAnswer("HTTP/1.0 200 OK\r\n\r\n{\"rewards\": [1"),
              StatusIs(StatusCode::kInternal, "the answer is not JSON: \"{\\\"rewards\\\": [1\""));
  EXPECT_THAT(PostForAnswer(HttpAnswer("200 OK", "")), StatusIs(StatusCode::kInternal, "not JSON"));
}

TEST(HttpClientTest, NumbersThatAreNoneAreNotJson) {
  for (const char* body : {"[NaN]", "[Infinity]", "[1e999]"}) {
    EXPECT_THAT(PostForAnswer(HttpAnswer("200 OK", body)),
                StatusIs(StatusCode::kInternal, "not JSON"));
  }
}

TEST(HttpClientTest, AnAnswerWithoutEndIsCutOff) {
  EXPECT_THAT(PostForAnswer(HttpAnswer(
                  "200 OK", "\"" + std::string(HttpClient::kAnswerBytesMax, 'a') + "\"")),
              StatusIs(StatusCode::kInternal, "more than 16777216 bytes"));
}

TEST(HttpClientTest, TellsWhatMaySucceedLaterFromWhatWillNot) {
  EXPECT_THAT(PostForAnswer(HttpAnswer("500 Internal Server Error", "oh\xff")),
              StatusIs(StatusCode::kUnavailable, "HTTP 500: \"oh\\xff\""));
  EXPECT_THAT(PostForAnswer(HttpAnswer("408 Timeout", "")),
              StatusIs(StatusCode::kUnavailable, "HTTP 408"));
  EXPECT_THAT(PostForAnswer(HttpAnswer("400 Bad Request", "no such field")),
              StatusIs(StatusCode::kFailedPrecondition, "HTTP 400: \"no such field\""));
  EXPECT_THAT(PostForAnswer(HttpAnswer("302 Found", "", "Location: file:///etc/passwd\r\n")),
              StatusIs(StatusCode::kFailedPrecondition, "HTTP 302"));
}

TEST(HttpClientTest, TellsHowLongTheServerAsksToWait) {
  const absl::Status busy =
      PostForAnswer(HttpAnswer("429 Too Many", "", "Retry-After: 7\r\n")).status();
  EXPECT_THAT(busy, StatusIs(StatusCode::kResourceExhausted, "HTTP 429"));
  EXPECT_EQ(RetryAfter(busy), absl::Seconds(7));
  EXPECT_EQ(RetryAfter(PostForAnswer(HttpAnswer("503 Away", "", "Retry-After: 8\r\n")).status()),
            absl::Seconds(8));
  EXPECT_EQ(RetryAfter(PostForAnswer(HttpAnswer("429 Too Many", "")).status()),
            absl::ZeroDuration());
}

TEST(HttpClientTest, AsksNothingButHttp) {
  EXPECT_THAT(PostTo("file:///etc/passwd"), StatusIs(StatusCode::kInvalidArgument, "is no URL"));
  EXPECT_THAT(PostTo("http://"), StatusIs(StatusCode::kInvalidArgument, "is no URL"));
}

}  // namespace
}  // namespace attune
