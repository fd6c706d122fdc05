#include "worker/pair_batch.h"

#include <ATen/ATen.h>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::ElementsAre;

v1::TrainingPair Pair(std::vector<uint32_t> prompt, std::vector<uint32_t> chosen,
                      std::vector<uint32_t> rejected) {
  v1::TrainingPair pair;
  pair.set_index(7);
  pair.mutable_prompt_token_ids()->Add(prompt.begin(), prompt.end());
  pair.mutable_chosen_token_ids()->Add(chosen.begin(), chosen.end());
  pair.mutable_rejected_token_ids()->Add(rejected.begin(), rejected.end());
  return pair;
}

ModelConfig SmallConfig() {
  ModelConfig config = {};
  config.vocab_size = 10;
  config.max_position_embeddings = 5;
  return config;
}

TEST(PairBatchTest, PacksChosenThenRejectedSequencesWithoutTheirLastToken) {
  const std::vector<v1::TrainingPair> pairs = {Pair({1, 2}, {3}, {4, 5}), Pair({6}, {7, 8}, {9})};
  ASSERT_OK_AND_ASSIGN(const PairBatch batch, MakePairBatch(pairs, SmallConfig()));
  EXPECT_THAT(batch.sequences.tokens, ElementsAre(1, 2, 6, 7, 1, 2, 4, 6));
  EXPECT_THAT(batch.sequences.offsets, ElementsAre(0, 2, 4, 7, 8));
  EXPECT_THAT(batch.sequences.target_rows, ElementsAre(1, 2, 3, 5, 6, 7));
  EXPECT_THAT(batch.sequences.targets, ElementsAre(3, 7, 8, 4, 5, 9));
  EXPECT_THAT(batch.target_sequence, ElementsAre(0, 1, 1, 2, 2, 3));
  EXPECT_EQ(batch.tokens, 12);
}

TEST(PairBatchTest, SumsTheTokensOfEachSequence) {
  const std::vector<v1::TrainingPair> pairs = {Pair({1, 2}, {3}, {4, 5}), Pair({6}, {7, 8}, {9})};
  ASSERT_OK_AND_ASSIGN(const PairBatch batch, MakePairBatch(pairs, SmallConfig()));
  const at::Tensor values = at::tensor({1.f, 2.f, 4.f, 8.f, 16.f, 32.f}).set_requires_grad(true);
  const at::Tensor sums = SequenceSums(batch, values);
  EXPECT_TRUE(at::equal(sums, at::tensor({1., 6., 24., 32.}, at::kDouble)));
  (sums * at::tensor({1., 2., 3., 4.}, at::kDouble)).sum().backward();
  EXPECT_TRUE(at::equal(values.grad(), at::tensor({1.f, 2.f, 2.f, 3.f, 3.f, 4.f})));
}

TEST(PairBatchTest, SumsInTheOrderOfTheTokens) {
  const std::vector<v1::TrainingPair> pairs = {Pair({1}, {2, 3, 4, 5}, {6})};
  ASSERT_OK_AND_ASSIGN(const PairBatch batch, MakePairBatch(pairs, SmallConfig()));
  const std::vector<float> values = {1e8f, 1.25e-9f, 3e-9f, -1e8f, 0.f};
  double expected = 0;
  for (int i = 0; i < 4; ++i) expected += values[i];
  EXPECT_EQ(SequenceSums(batch, at::tensor(values))[0].item<double>(), expected);
}

TEST(PairBatchTest, RefusesWhatTheModelCannotTake) {
  const auto make = [](const v1::TrainingPair& pair) {
    return MakePairBatch({&pair, 1}, SmallConfig());
  };
  EXPECT_THAT(make(Pair({}, {1}, {2})),
              StatusIs(absl::StatusCode::kInvalidArgument, "pair 7, chosen response: 0 prompt"));
  EXPECT_THAT(make(Pair({1}, {1}, {})),
              StatusIs(absl::StatusCode::kInvalidArgument, "pair 7, rejected response"));
  EXPECT_THAT(make(Pair({1}, {1, 2, 3, 4, 5}, {1})),
              StatusIs(absl::StatusCode::kInvalidArgument, "6 tokens with its prompt"));
  EXPECT_THAT(make(Pair({1}, {1}, {10})),
              StatusIs(absl::StatusCode::kInvalidArgument, "token 10 is outside"));
}

}  // namespace
}  // namespace attune
