#include "oracle/judge_factory.h"

#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(JudgeFactoryTest, NamesEveryFieldThatIsWrong) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  spec.set_path("l.tsv");
  spec.set_target_length(32769);
  JudgeFactory judges;
  const auto violations = FieldViolations(judges.Make(spec).status());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "oracle.path");
  EXPECT_EQ(violations[1].field, "oracle.target_length");
}

TEST(JudgeFactoryTest, RefusesAnUnknownKind) {
  v1::OracleSpec spec;
  spec.set_kind(static_cast<v1::OracleKind>(77));
  EXPECT_THAT(JudgeFactory().Make(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, "must be one of"));
}

}  // namespace
}  // namespace attune
