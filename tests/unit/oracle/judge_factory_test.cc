#include "oracle/judge_factory.h"

#include <cmath>
#include <memory>
#include <utility>

#include "common/metrics.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

class JudgeFactoryTest : public testing::Test {
 protected:
  const std::unique_ptr<Metrics> metrics_ = Metrics::Create("", "oracle").value();
};

TEST_F(JudgeFactoryTest, NamesEveryFieldThatIsWrong) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  spec.set_path("l.tsv");
  spec.set_target_length(32769);
  JudgeFactory judges(*metrics_);
  const auto violations = FieldViolations(judges.Make(spec).status());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "oracle.path");
  EXPECT_EQ(violations[1].field, "oracle.target_length");
}

TEST_F(JudgeFactoryTest, RefusesAnUnknownKind) {
  v1::OracleSpec spec;
  spec.set_kind(static_cast<v1::OracleKind>(77));
  EXPECT_THAT(JudgeFactory(*metrics_).Make(spec),
              StatusIs(absl::StatusCode::kInvalidArgument, "must be one of"));
}

TEST_F(JudgeFactoryTest, PartsAreMadeWithTheirWeights) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_BRADLEY_TERRY);
  v1::OracleSpec& sum = *spec.add_parts()->mutable_oracle();
  sum.set_kind(v1::ORACLE_KIND_SUM);
  sum.add_parts()->mutable_oracle()->set_kind(v1::ORACLE_KIND_JSON);
  sum.add_parts()->mutable_oracle()->set_kind(v1::ORACLE_KIND_LENGTH);
  sum.mutable_parts(1)->set_weight(0.25);
  JudgeFactory judges(*metrics_);
  ASSERT_OK_AND_ASSIGN(const auto judge, judges.Make(spec));
  EXPECT_EQ(judge->oracle(), "bradley_terry/1");
  // Scores 1 - 0.25 and -0.75.
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"1", "abc"})));
  EXPECT_DOUBLE_EQ(verdict.preferences[1], 1 / (1 + std::exp(-1.5)));
}

TEST_F(JudgeFactoryTest, SaysWhichPartCannotBeMade) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_SUM);
  spec.add_parts()->mutable_oracle()->set_kind(v1::ORACLE_KIND_NUMERIC);
  v1::OracleSpec& table = *spec.add_parts()->mutable_oracle();
  table.set_kind(v1::ORACLE_KIND_TABLE);
  table.set_path("absent.json");
  EXPECT_THAT(JudgeFactory(*metrics_).Make(spec),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "oracle.parts[1]: cannot load the table absent.json"));
}

TEST_F(JudgeFactoryTest, ServesTheVerifiers) {
  for (const auto& [kind, name] :
       {std::pair(v1::ORACLE_KIND_NUMERIC, "numeric/1"),
        std::pair(v1::ORACLE_KIND_EXACT_MATCH, "exact_match/1"),
        std::pair(v1::ORACLE_KIND_JSON, "json/1")}) {
    v1::OracleSpec spec;
    spec.set_kind(kind);
    JudgeFactory judges(*metrics_);
    ASSERT_OK_AND_ASSIGN(const auto judge, judges.Make(spec));
    EXPECT_EQ(judge->oracle(), name);
  }
}

}  // namespace
}  // namespace attune
