#include "spec/oracle_file.h"

#include <string>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class OracleFileTest : public testing::Test {
 protected:
  absl::StatusOr<v1::OracleSpec> Load(const std::string& yaml) {
    EXPECT_OK(WriteFile(directory_.File("oracle.yaml"), yaml));
    return LoadOracleFile(directory_.File("oracle.yaml"));
  }

  ScratchDirectory directory_;
};

TEST_F(OracleFileTest, FillsDefaultsAndResolvesPathsOfPartsToo) {
  ASSERT_OK(WriteFile(directory_.File("words.tsv"), "good\t1\n"));
  ASSERT_OK_AND_ASSIGN(const v1::OracleSpec spec, Load(R"(
kind: sum
parts:
- oracle: {kind: lexicon, path: words.tsv}
- oracle: {kind: length}
  weight: 0.1
)"));
  EXPECT_EQ(v1::ORACLE_KIND_SUM, spec.kind());
  EXPECT_EQ(directory_.File("words.tsv"), spec.parts(0).oracle().path());
  EXPECT_EQ(1, spec.parts(0).weight());
  EXPECT_TRUE(spec.parts(1).oracle().has_target_length());
}

TEST_F(OracleFileTest, TellsProblemsOfTheFileAndOfItsMeaningAtOnce) {
  const auto spec = Load("kind: regex\nscale: 2\ntarget_lenght: 3\n");
  EXPECT_THAT(FieldViolations(spec.status()),
              ElementsAre(Field(&FieldViolation::field, "target_lenght"),
                          Field(&FieldViolation::field, "scale"),
                          Field(&FieldViolation::field, "pattern")));
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("oracle.yaml"));
}

TEST_F(OracleFileTest, RefusesWhatIsNoOracleBlock) {
  EXPECT_THAT(
      FieldViolations(Load("oracle: {kind: length}\n").status()),
      ElementsAre(Field(&FieldViolation::field, "oracle"), Field(&FieldViolation::field, "kind")));
  EXPECT_THAT(FieldViolations(Load("kind: dataset\n").status()),
              ElementsAre(Field(&FieldViolation::field, "kind")));
  EXPECT_THAT(LoadOracleFile(directory_.File("absent.yaml")), StatusIs(kInvalid, "absent.yaml"));
}

}  // namespace
}  // namespace attune
