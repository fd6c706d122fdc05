#include "rollout/policy_store.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/fake_weight_server.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;

class PolicyStoreTest : public testing::Test {
 protected:
  // The trained policy, served by one rank.
  v1::PolicySource TrainedSource() const {
    v1::PolicySource source = SourceOf(trained_, 1);
    source.add_weight_addresses(server_.address());
    return source;
  }

  const SmallModel initial_ = MakeSmallModel(1.0f);
  const SmallModel trained_ = MakeSmallModel(1.01f);
  const FakeWeightServer server_{trained_.weights, trained_.digest, 0, 1};
  PolicyStore store_;
};

TEST_F(PolicyStoreTest, HoldsNothingAtFirst) { EXPECT_EQ(store_.Get(), nullptr); }

TEST_F(PolicyStoreTest, KeepsOneObjectForTheInitialPolicyAtTheStart) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = SourceOf(initial_, 0);
  *request.mutable_initial() = SourceOf(initial_, 0);
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes, store_.Load(request));
  EXPECT_EQ(bytes, 0u);
  const auto held = store_.Get();
  EXPECT_TRUE(IsPolicyOf(initial_, *held->policy));
  EXPECT_EQ(held->initial, held->policy);
  EXPECT_EQ(held->version.digest(), initial_.digest);
  EXPECT_EQ(held->initial_digest, initial_.digest);
  EXPECT_EQ(held->tokenizer->vocab_size(), 512);
}

TEST_F(PolicyStoreTest, SwapsThePolicyAndLeavesItToThoseWhoUseIt) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = SourceOf(initial_, 0);
  *request.mutable_initial() = SourceOf(initial_, 0);
  ASSERT_OK(store_.Load(request));
  const auto before = store_.Get();
  *request.mutable_policy() = TrainedSource();
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes, store_.Load(request));
  EXPECT_EQ(bytes, trained_.weights.size() * 4);
  const auto after = store_.Get();
  EXPECT_TRUE(IsPolicyOf(trained_, *after->policy));
  EXPECT_EQ(after->version.round(), 1u);
  EXPECT_EQ(after->initial, before->policy);  // kept, not loaded again
  EXPECT_TRUE(IsPolicyOf(initial_, *before->policy));
}

TEST_F(PolicyStoreTest, LoadsNothingTwice) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = TrainedSource();
  ASSERT_OK(store_.Load(request));
  const auto before = store_.Get();
  request.mutable_policy()->set_weight_addresses(0, "127.0.0.1:1");
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes, store_.Load(request));
  EXPECT_EQ(bytes, 0u);
  EXPECT_EQ(store_.Get()->policy, before->policy);
}

TEST_F(PolicyStoreTest, LoadsAgainInAnotherPrecision) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = TrainedSource();
  *request.mutable_initial() = SourceOf(initial_, 0);
  ASSERT_OK(store_.Load(request));
  request.set_precision(v1::PRECISION_BF16);
  ASSERT_OK(store_.Load(request));
  const auto held = store_.Get();
  EXPECT_EQ(held->precision, TensorType::kBf16);
  EXPECT_TRUE(IsPolicyOf(trained_, *held->policy, TensorType::kBf16));
  EXPECT_TRUE(IsPolicyOf(initial_, *held->initial, TensorType::kBf16));
  request.set_precision(v1::PRECISION_FP32);
  ASSERT_OK(store_.Load(request));
  EXPECT_TRUE(IsPolicyOf(trained_, *store_.Get()->policy));
}

TEST_F(PolicyStoreTest, ForgetsAnInitialPolicyThatIsNotNamedAgain) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = SourceOf(initial_, 0);
  *request.mutable_initial() = SourceOf(initial_, 0);
  ASSERT_OK(store_.Load(request));
  request.clear_initial();
  ASSERT_OK(store_.Load(request));
  EXPECT_EQ(store_.Get()->initial, nullptr);
}

TEST_F(PolicyStoreTest, HoldsWhatItHeldWhenALoadFails) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = SourceOf(initial_, 0);
  ASSERT_OK(store_.Load(request));
  const auto before = store_.Get();
  FakeWeightServer bad(trained_.weights, trained_.digest, 0, 1, [](v1::WeightChunk& chunk) {
    (*chunk.mutable_values())[0] ^= 1;
    return true;
  });
  *request.mutable_policy() = SourceOf(trained_, 1);
  request.mutable_policy()->add_weight_addresses(bad.address());
  EXPECT_THAT(store_.Load(request), StatusIs(StatusCode::kDataLoss, "CRC-32C"));
  EXPECT_EQ(store_.Get(), before);
  *request.mutable_policy() = TrainedSource();
  request.mutable_policy()->set_model_path("/nowhere");
  EXPECT_FALSE(store_.Load(request).ok());
  EXPECT_EQ(store_.Get(), before);
}

TEST_F(PolicyStoreTest, RefusesAPolicyWithoutADigest) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = SourceOf(initial_, 0);
  request.mutable_policy()->mutable_version()->clear_digest();
  EXPECT_THAT(store_.Load(request), StatusIs(StatusCode::kInvalidArgument, "has no digest"));
}

TEST(LoadTokenizerTest, RefusesATokenizerWithMoreIdsThanTheModel) {
  EXPECT_OK(LoadTokenizer(kModelPath, 512));
  EXPECT_THAT(LoadTokenizer(kModelPath, 511),
              StatusIs(StatusCode::kInvalidArgument, "has 512 ids but the model's vocab_size"));
}

}  // namespace
}  // namespace attune
