#include "model/policy.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/reference.h"
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

TEST_P(PolicyTest, LogitsAreCloseToDoublePrecision) {
  const std::vector<int32_t> ids = SomeIds(30);
  KvCache cache;
  const std::vector<float> logits = policy_->Forward(RowsOf(ids, &cache));
  const std::vector<reference::Vector> wanted = reference::Logits(config_, weights_, ids);
  ASSERT_EQ(ids.size() * config_.vocab_size, logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    ASSERT_NEAR(wanted[i / config_.vocab_size][i % config_.vocab_size], logits[i], 2e-4) << i;
  }
}

TEST_P(PolicyTest, OnePositionAtATimeGivesTheSameBits) {
  const std::vector<int32_t> ids = SomeIds(30);
  KvCache together_cache, single_cache;
  const std::vector<float> together = policy_->Forward(RowsOf(ids, &together_cache));
  std::vector<float> singles;
  for (const PolicyRow& row : RowsOf(ids, &single_cache)) {
    const std::vector<float> logits = policy_->Forward({row});
    singles.insert(singles.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(together, singles);
}

TEST_P(PolicyTest, GivesLogitsOfTheRowsThatWantThem) {
  KvCache all_cache, some_cache;
  std::vector<PolicyRow> rows = RowsOf(SomeIds(5), &all_cache);
  const std::vector<float> all = policy_->Forward(rows);
  for (PolicyRow& row : rows) {
    row.cache = &some_cache;
    row.wants_logits = row.position == 1 || row.position == 4;
  }
  const std::vector<float> some = policy_->Forward(rows);
  const auto begin = all.begin();
  const int64_t vocab = config_.vocab_size;
  std::vector<float> wanted(begin + vocab, begin + 2 * vocab);
  wanted.insert(wanted.end(), begin + 4 * vocab, all.end());
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
  const std::vector<float> logits = policy_->Forward(RowsOf(ids, &fresh));
  EXPECT_EQ(std::vector<float>(logits.end() - config_.vocab_size, logits.end()), after_copy);
}

TEST_P(PolicyTest, LoadsFromADirectory) {
  ScratchDirectory directory;
  ASSERT_OK(WriteModel(directory.path(), config_, weights_));
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Policy> loaded, Policy::Load(directory.path()));
  EXPECT_EQ(policy_->digest(), loaded->digest());
  EXPECT_EQ(WeightsDigest(WeightLayout(config_), weights_), loaded->digest());
}

TEST_P(PolicyTest, RefusesAnotherNumberOfWeights) {
  EXPECT_THAT(Policy::Create(config_, absl::MakeConstSpan(weights_).subspan(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, "weights: its config has"));
}

}  // namespace
}  // namespace attune
