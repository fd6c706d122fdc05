#include "serve/api_error.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ApiErrorTest, NamesTheField) {
  const absl::Status error = FieldError("top_p", "top_p is 2; it must be at most 1");
  EXPECT_EQ(HttpStatusOf(error), 400);
  EXPECT_EQ(ErrorBody(error), R"({"error":{"message":"top_p is 2; it must be at most 1",)"
                              R"("type":"invalid_request_error","param":"top_p","code":null}})");
}

TEST(ApiErrorTest, TellsWhoseFaultItIs) {
  EXPECT_EQ(ErrorBody(absl::ResourceExhaustedError("too many wait")),
            R"({"error":{"message":"too many wait","type":"rate_limit_error","param":null,)"
            R"("code":"rate_limit_exceeded"}})");
  EXPECT_EQ(ErrorBody(absl::UnavailableError("stopping")),
            R"({"error":{"message":"stopping","type":"server_error","param":null,)"
            R"("code":"unavailable"}})");
  EXPECT_EQ(HttpStatusOf(absl::UnauthenticatedError("")), 401);
  EXPECT_EQ(HttpStatusOf(absl::NotFoundError("")), 404);
  EXPECT_EQ(HttpStatusOf(absl::OutOfRangeError("")), 413);
  EXPECT_EQ(HttpStatusOf(absl::ResourceExhaustedError("")), 429);
  EXPECT_EQ(HttpStatusOf(absl::FailedPreconditionError("")), 500);
  EXPECT_EQ(HttpStatusOf(absl::CancelledError("")), 503);
}

TEST(ApiErrorTest, AnyBytesGiveJson) {
  EXPECT_EQ(ErrorBody(absl::InternalError("\xff\"")),
            "{\"error\":{\"message\":\"\xEF\xBF\xBD\\\"\",\"type\":\"server_error\","
            "\"param\":null,\"code\":null}}");
}

}  // namespace
}  // namespace attune
