#include "coordinator/dataset_oracle.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST(DatasetOracleTest, ScoresAreTheLabelsOfTheDataset) {
  Dataset dataset{.prompts = std::vector<v1::Prompt>(3), .digest = "abc"};
  for (double score : {1.0, 0.0}) dataset.prompts[2].add_given()->set_score(score);
  for (double score : {-2.5, 7.0, 3.0}) dataset.prompts[0].add_given()->set_score(score);
  std::vector<v1::Response> responses;
  for (uint32_t prompt : {2, 2, 0, 0, 0}) {
    responses.emplace_back().set_prompt_index(prompt);
    responses.back().set_provenance(v1::PROVENANCE_GIVEN);
  }
  const std::vector<v1::Judgment> judgments = JudgeByDataset(dataset, responses);
  ASSERT_THAT(judgments, SizeIs(2));
  EXPECT_EQ(judgments[0].prompt_index(), 2u);
  EXPECT_THAT(judgments[0].scores(), ElementsAre(1, 0));
  EXPECT_EQ(judgments[1].prompt_index(), 0u);
  EXPECT_THAT(judgments[1].scores(), ElementsAre(-2.5, 7, 3));
  EXPECT_EQ(judgments[1].oracle(), "dataset/1");
  EXPECT_EQ(judgments[1].oracle_digest(), "abc");
}

}  // namespace
}  // namespace attune
