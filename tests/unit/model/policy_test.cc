#include "model/policy.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

std::vector<int32_t> SomeIds(int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(i * 37 % 101));
  return ids;
}

std::vector<PolicyRow> RowsOf(const std::vector<int32_t>& ids, KvCache* cache) {
  std::vector<PolicyRow> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.push_back({cache, static_cast<int64_t>(i), ids[i], true});
  }
  return rows;
}

// Grouped-query attention throughout; embeddings tied or not.
class PolicyTest : public ::testing::TestWithParam<bool> {
 protected:
  const ModelConfig config_ = TinyConfig(/*tied=*/GetParam());
  const std::vector<float> weights_ = TinyWeights(config_, 5);
  const std::shared_ptr<const Policy> policy_ = Policy::Create(config_, weights_).value();
};
INSTANTIATE_TEST_SUITE_P(TiedOrNot, PolicyTest, ::testing::Bool());

TEST_P(PolicyTest, OnePositionAtATimeGivesTheSameBits) {
  const std::vector<int32_t> ids = SomeIds(30);
  KvCache together_cache, single_cache;
  const std::vector<float> together = policy_->Forward(RowsOf(ids, &together_cache));
  std::vector<float> singles;
  for (const PolicyRow& row : RowsOf(ids, &single_cache)) {
    const std::vector<float> states = policy_->Forward({row});
    singles.insert(singles.end(), states.begin(), states.end());
  }
  EXPECT_EQ(together, singles);
}

TEST_P(PolicyTest, GivesTheStatesOfTheRowsThatWantLogits) {
  KvCache all_cache, some_cache;
  std::vector<PolicyRow> rows = RowsOf(SomeIds(5), &all_cache);
  const std::vector<float> all = policy_->Forward(rows);
  for (PolicyRow& row : rows) {
    row.cache = &some_cache;
    row.wants_logits = row.position == 1 || row.position == 4;
  }
  const std::vector<float> some = policy_->Forward(rows);
  const auto begin = all.begin();
  const int64_t hidden = config_.hidden_size;
  std::vector<float> wanted(begin + hidden, begin + 2 * hidden);
  wanted.insert(wanted.end(), begin + 4 * hidden, all.end());
  EXPECT_EQ(wanted, some);
}

TEST_P(PolicyTest, ACopiedCacheContinuesByItself) {
  KvCache original;
  policy_->Forward(RowsOf(SomeIds(7), &original));
  KvCache copy = original;
  policy_->Forward({{&copy, 7, 50, false}});
  const std::vector<float> after_copy = policy_->Forward({{&original, 7, 3, true}});
  KvCache fresh;
  std::vector<int32_t> ids = SomeIds(7);
  ids.push_back(3);
  const std::vector<float> states = policy_->Forward(RowsOf(ids, &fresh));
  EXPECT_EQ(std::vector<float>(states.end() - config_.hidden_size, states.end()), after_copy);
}

TEST_P(PolicyTest, LogitsOfARowDoNotDependOnTheOthers) {
  KvCache cache;
  const std::vector<float> states = policy_->Forward(RowsOf(SomeIds(9), &cache));
  std::vector<float> together(9 * config_.vocab_size), single(config_.vocab_size);
  policy_->Logits(states.data(), 9, together.data());
  policy_->Logits(&states[8 * config_.hidden_size], 1, single.data());
  EXPECT_EQ(std::vector<float>(together.end() - config_.vocab_size, together.end()), single);
}

TEST_P(PolicyTest, LoadedFromADirectoryGivesTheSameBits) {
  ScratchDirectory directory;
  ASSERT_OK(WriteModel(directory.path(), config_, weights_));
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Policy> loaded, Policy::Load(directory.path()));
  KvCache cache, loaded_cache;
  EXPECT_EQ(policy_->Forward(RowsOf(SomeIds(9), &cache)),
            loaded->Forward(RowsOf(SomeIds(9), &loaded_cache)));
}

// Weights that bf16 holds exactly: what is lost is what inputs, keys and values lose.
TEST_P(PolicyTest, ProductsOfBf16AreCloseToThoseOfFp32) {
  std::vector<float> rounded = weights_;
  for (float& weight : rounded) weight = FloatOfBf16(Bf16OfFloat(weight));
  const auto fp32 = Policy::Create(config_, rounded).value();
  const auto bf16 = Policy::Create(config_, rounded, TensorType::kBf16).value();
  KvCache cache, bf16_cache;
  const std::vector<float> wanted = fp32->Forward(RowsOf(SomeIds(9), &cache));
  const std::vector<float> states = bf16->Forward(RowsOf(SomeIds(9), &bf16_cache));
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(wanted[i], states[i], 0.05);
}

TEST_P(PolicyTest, Bf16RoundsTheWeights) {
  const auto bf16 = Policy::Create(config_, weights_, TensorType::kBf16).value();
  KvCache cache, bf16_cache;
  EXPECT_NE(policy_->Forward(RowsOf(SomeIds(9), &cache)),
            bf16->Forward(RowsOf(SomeIds(9), &bf16_cache)));
}

TEST_P(PolicyTest, RefusesAnotherNumberOfWeights) {
  EXPECT_THAT(Policy::Create(config_, absl::MakeConstSpan(weights_).subspan(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, "weights: its config has"));
}

}  // namespace
}  // namespace attune
