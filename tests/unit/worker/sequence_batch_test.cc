#include "worker/sequence_batch.h"

#include <vector>

#include <ATen/ATen.h>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::ElementsAre;
using Ids = std::vector<uint32_t>;

ModelConfig SmallConfig() {
  ModelConfig config = {};
  config.vocab_size = 10;
  config.max_position_embeddings = 5;
  return config;
}

TEST(SequenceBatchTest, PacksSequencesWithoutTheirLastToken) {
  const Ids one = {1, 2}, other = {6}, a = {3}, b = {7, 8}, c = {4, 5};
  const std::vector<Sequence> sequences = {{"a", one, a}, {"b", other, b}, {"c", one, c}};
  ASSERT_OK_AND_ASSIGN(const SequenceBatch batch, MakeSequenceBatch(sequences, SmallConfig()));
  EXPECT_THAT(batch.packed.tokens, ElementsAre(1, 2, 6, 7, 1, 2, 4));
  EXPECT_THAT(batch.packed.offsets, ElementsAre(0, 2, 2, 3, 4, 6, 7));
  EXPECT_THAT(batch.packed.prefixes, ElementsAre(-1, 0, -1, 2, -1, 4));
  EXPECT_THAT(batch.packed.example_rows, ElementsAre(0, 7));
  EXPECT_THAT(batch.packed.example_targets, ElementsAre(0, 5));
  EXPECT_THAT(batch.packed.target_rows, ElementsAre(1, 2, 3, 5, 6));
  EXPECT_THAT(batch.packed.targets, ElementsAre(3, 7, 8, 4, 5));
  EXPECT_TRUE(at::equal(batch.tokens.sequences, at::tensor({0, 1, 1, 2, 2}, at::kLong)));
  EXPECT_EQ(batch.tokens.count, 3);
  EXPECT_EQ(batch.token_count, 10);
}

TEST(SequenceBatchTest, APromptOfSeveralResponsesIsThereOnce) {
  const Ids prompt = {1, 2}, a = {3}, b = {7, 8, 9};
  const std::vector<Sequence> sequences = {{"a", prompt, a}, {"b", prompt, b}};
  ASSERT_OK_AND_ASSIGN(const SequenceBatch batch, MakeSequenceBatch(sequences, SmallConfig()));
  EXPECT_THAT(batch.packed.tokens, ElementsAre(1, 2, 7, 8));
  EXPECT_THAT(batch.packed.offsets, ElementsAre(0, 2, 2, 4));
  EXPECT_THAT(batch.packed.prefixes, ElementsAre(-1, 0, 0));
  EXPECT_THAT(batch.packed.target_rows, ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(batch.packed.targets, ElementsAre(3, 7, 8, 9));
  EXPECT_EQ(batch.token_count, 8);
}

TEST(SequenceBatchTest, ExamplesAreOneAfterTheOther) {
  const Ids one = {1, 2}, other = {6}, a = {3}, b = {7, 8};
  const std::vector<Sequence> pair = {{"a", one, a}, {"b", one, b}};
  const Sequence single = {"c", other, b};
  std::vector<SequenceBatch> examples(2);
  ASSERT_OK_AND_ASSIGN(examples[0], MakeSequenceBatch(pair, SmallConfig()));
  ASSERT_OK_AND_ASSIGN(examples[1], MakeSequenceBatch({&single, 1}, SmallConfig()));
  const PackedSequences packed = PackedTogether(examples);
  EXPECT_THAT(packed.tokens, ElementsAre(1, 2, 7, 6, 7));
  EXPECT_THAT(packed.offsets, ElementsAre(0, 2, 2, 3, 4, 5));
  EXPECT_THAT(packed.prefixes, ElementsAre(-1, 0, 0, -1, 3));
  EXPECT_THAT(packed.target_rows, ElementsAre(1, 1, 2, 3, 4));
  EXPECT_THAT(packed.targets, ElementsAre(3, 7, 8, 7, 8));
  EXPECT_THAT(packed.example_rows, ElementsAre(0, 3, 5));
  EXPECT_THAT(packed.example_targets, ElementsAre(0, 3, 5));
}

TEST(SequenceBatchTest, AClassifierReadsTheLastTokenThatIsNoPadding) {
  ModelConfig config = SmallConfig();
  config.pad_token_id = 9;
  const Ids one = {1, 9}, a = {3, 4}, b = {3, 9, 9}, c = {9};
  const std::vector<Sequence> sequences = {{"a", one, a}, {"b", one, b}, {"c", one, c}};
  ASSERT_OK_AND_ASSIGN(const SequenceBatch batch, MakeScoredBatch(sequences, config));
  EXPECT_THAT(batch.packed.tokens, ElementsAre(1, 9, 3, 4, 1, 9, 3, 1));
  EXPECT_THAT(batch.packed.offsets, ElementsAre(0, 4, 7, 8));
  EXPECT_THAT(batch.packed.target_rows, ElementsAre(3, 6, 7));
  EXPECT_TRUE(batch.packed.targets.empty());
  EXPECT_TRUE(at::equal(batch.tokens.sequences, at::tensor({0, 0, 1, 1, 1, 2}, at::kLong)));
  EXPECT_EQ(batch.token_count, 12);
  const Sequence bad = {"pair 7, chosen response", one, {}};
  EXPECT_THAT(MakeScoredBatch({&bad, 1}, config),
              StatusIs(absl::StatusCode::kInvalidArgument, "0 response"));
}

TEST(SequenceBatchTest, RefusesWhatTheModelCannotTake) {
  const auto make = [](const Ids& prompt, const Ids& response) {
    const Sequence sequence = {"pair 7, chosen response", prompt, response};
    return MakeSequenceBatch({&sequence, 1}, SmallConfig());
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(make({}, {1}), StatusIs(invalid, "pair 7, chosen response: 0 prompt"));
  EXPECT_THAT(make({1}, {}), StatusIs(invalid, "0 response"));
  EXPECT_THAT(make({1}, {1, 2, 3, 4, 5}), StatusIs(invalid, "6 tokens with its prompt"));
  EXPECT_THAT(make({1}, {10}), StatusIs(invalid, "token 10 is outside"));
}

}  // namespace
}  // namespace attune
