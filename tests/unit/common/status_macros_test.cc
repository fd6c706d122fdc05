#include "common/status_macros.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

absl::Status Step(int& steps, const absl::Status& status) {
  ATTUNE_RETURN_IF_ERROR(status);
  ++steps;
  return absl::OkStatus();
}

[[nodiscard]] absl::StatusOr<std::unique_ptr<int>> Twice(absl::StatusOr<std::unique_ptr<int>> in) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<int> value, std::move(in));
  *value *= 2;
  return value;
}

TEST(StatusMacrosTest, ReturnsTheErrorUnchanged) {
  int steps = 0;
  EXPECT_OK(Step(steps, absl::OkStatus()));
  EXPECT_EQ(steps, 1);
  EXPECT_THAT(Step(steps, absl::DataLossError("torn")),
              StatusIs(absl::StatusCode::kDataLoss, "torn"));
  EXPECT_EQ(steps, 1);
}

TEST(StatusMacrosTest, AssignsMoveOnlyValues) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<int> value, Twice(std::make_unique<int>(21)));
  EXPECT_EQ(*value, 42);
  EXPECT_THAT(Twice(absl::NotFoundError("gone")), StatusIs(absl::StatusCode::kNotFound, "gone"));
}

TEST(StatusMacrosTest, AnnotateAddsContextAndKeepsTheRest) {
  absl::Status status = absl::InvalidArgumentError("3 > 2");
  status.SetPayload("type.googleapis.com/x", absl::Cord("detail"));
  const absl::Status annotated = Annotate(status, "while reading f");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(annotated.message(), "while reading f: 3 > 2");
  EXPECT_EQ(annotated.GetPayload("type.googleapis.com/x"), absl::Cord("detail"));
  EXPECT_OK(Annotate(absl::OkStatus(), "context"));
}

}  // namespace
}  // namespace attune
