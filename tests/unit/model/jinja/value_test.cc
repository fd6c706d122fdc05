#include "model/jinja/value.h"

#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::jinja {
namespace {

using absl::StatusCode;

Value Integer(int64_t value) { return Value{value}; }

TEST(JinjaValueTest, FloatsAreWrittenAsPythonDoes) {
  EXPECT_EQ(FloatText(1), "1.0");
  EXPECT_EQ(FloatText(-0.0), "-0.0");
  EXPECT_EQ(FloatText(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(FloatText(1e15), "1000000000000000.0");
  EXPECT_EQ(FloatText(1e16), "1e+16");
  EXPECT_EQ(FloatText(1.5e-5), "1.5e-05");
  EXPECT_EQ(FloatText(0.00012), "0.00012");
  EXPECT_EQ(FloatText(-123456.789), "-123456.789");
  EXPECT_EQ(FloatText(5e-324), "5e-324");
  EXPECT_EQ(FloatText(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(FloatText(std::nan("")), "nan");
}

TEST(JinjaValueTest, NumbersOfAllKindsAreComparedExactly) {
  Budget budget(1000);
  const int64_t large = (int64_t{1} << 53) + 1;
  EXPECT_TRUE(Equal(Integer(1), Value{true}, budget).value());
  EXPECT_TRUE(Equal(Integer(2), Value{2.0}, budget).value());
  EXPECT_FALSE(Equal(Integer(large), Value{static_cast<double>(large)}, budget).value());
  EXPECT_TRUE(Order(Integer(large), Value{static_cast<double>(large)}, budget).value() > 0);
  EXPECT_FALSE(Equal(Value{std::nan("")}, Value{std::nan("")}, budget).value());
}

TEST(JinjaValueTest, DictsKeepTheOrderOfTheirKeysAndTheLastValue) {
  Dict dict;
  dict.Set(TextValue("b"), Integer(1));
  dict.Set(TextValue("a"), Integer(2));
  dict.Set(TextValue("b"), Integer(3));
  const Dict copy = dict;
  Budget budget(1000);
  EXPECT_EQ(ToText(DictValue(copy).value(), budget).value(), "{'b': 3, 'a': 2}");
  EXPECT_EQ(copy.Find("c"), nullptr);
}

TEST(JinjaValueTest, ListsAreNestedToTheLimit) {
  Value value = Integer(1);
  for (int i = 0; i < kValueDepthMax; ++i) {
    ASSERT_OK_AND_ASSIGN(value, ListValue(List::Kind::kList, {value}));
  }
  EXPECT_THAT(ListValue(List::Kind::kTuple, {value}),
              StatusIs(StatusCode::kInvalidArgument, "100 deep"));
  EXPECT_THAT(MethodValue(value, "count"), StatusIs(StatusCode::kInvalidArgument, "100 deep"));
}

TEST(JinjaValueTest, TheBudgetIsSpentOnce) {
  Budget budget(10);
  EXPECT_OK(budget.Take(10));
  EXPECT_THAT(budget.Take(1), StatusIs(StatusCode::kInvalidArgument, "more than 10 steps"));
}

TEST(JinjaValueTest, UndefinedIsEmptyAndSaysWhy) {
  Budget budget(100);
  const Value undefined = UndefinedValue("'x' is undefined");
  EXPECT_FALSE(Truth(undefined));
  EXPECT_EQ(ToText(undefined, budget).value(), "");
  EXPECT_EQ(Length(undefined, budget).value(), 0);
  EXPECT_THAT(Order(undefined, Integer(1), budget),
              StatusIs(StatusCode::kInvalidArgument, "'x' is undefined"));
}

}  // namespace
}  // namespace attune::jinja
