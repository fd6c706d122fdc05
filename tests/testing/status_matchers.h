// EXPECT_OK(status), ASSERT_OK_AND_ASSIGN(auto x, StatusOr expression), StatusIs(code, substring).
#ifndef ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_
#define ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "common/status_macros.h"
#include "gtest/gtest.h"

namespace attune {

inline absl::Status GetStatus(const absl::Status& status) { return status; }
template <typename T>
absl::Status GetStatus(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << GetStatus(arg);
  return GetStatus(arg).ok();
}

MATCHER_P2(StatusIs, code, substring, "has the code and a message with the words") {
  const absl::Status status = GetStatus(arg);
  *result_listener << status;
  return status.code() == code &&
         std::string(status.message()).find(substring) != std::string::npos;
}

}  // namespace attune

#define EXPECT_OK(expression) EXPECT_THAT(expression, ::attune::IsOk())
#define ASSERT_OK(expression) ASSERT_THAT(expression, ::attune::IsOk())
#define ASSERT_OK_AND_ASSIGN(lhs, expression) \
  ASSERT_OK_AND_ASSIGN_IMPL_(ATTUNE_CONCAT_(test_statusor_, __LINE__), lhs, expression)
#define ASSERT_OK_AND_ASSIGN_IMPL_(statusor, lhs, expression) \
  auto statusor = (expression);                               \
  ASSERT_THAT(statusor, ::attune::IsOk());                    \
  lhs = std::move(statusor).value()

#endif  // ATTUNE_TESTS_TESTING_STATUS_MATCHERS_H_
