#include "worker/policy_files.h"

#include "common/files.h"
#include "gtest/gtest.h"
#include "model/weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/worker/reference_data.h"

namespace attune {
namespace {

class PolicyFilesTest : public testing::Test {
 protected:
  PolicyFilesTest() : policy_{TestConfig(), TestWeights()}, before_{policy_} {
    for (float& weight : policy_.weights) weight += 0.25f;
    request_.set_round(2);
    request_.mutable_input()->set_model_path(kModelPath);
    request_.mutable_objective()->set_ref_model_mixup_alpha(0.6);
    request_.mutable_objective()->set_ref_model_sync_rounds(2);
    request_.set_reference_output_path(directory_.File("reference-3"));
  }

  // What the next round would load.
  std::vector<float> Saved() {
    PolicyWeights reference = before_;
    std::string digest;
    EXPECT_OK(SaveMixedReference(request_, policy_, reference, &digest));
    v1::PolicySource source;
    source.set_checkpoint_path(request_.reference_output_path());
    source.mutable_version()->set_digest(digest);
    const auto loaded = LoadPolicyWeights(source);
    EXPECT_OK(loaded.status());
    return loaded.ok() ? loaded->weights : std::vector<float>();
  }

  ScratchDirectory directory_;
  PolicyWeights policy_;
  const PolicyWeights before_;
  v1::TrainRoundRequest request_;
};

TEST_F(PolicyFilesTest, MixesThePolicyIntoTheReferenceAfterItsRounds) {
  const std::vector<float> saved = Saved();
  ASSERT_EQ(saved.size(), before_.weights.size());
  for (size_t i = 0; i < saved.size(); i += 1000) {
    EXPECT_NEAR(saved[i], before_.weights[i] + 0.6 * 0.25, 1e-6);
  }
}

TEST_F(PolicyFilesTest, KeepsTheReferenceBetweenThem) {
  request_.set_round(3);
  EXPECT_EQ(Saved(), before_.weights);
}

TEST_F(PolicyFilesTest, AnEarlierAttemptIsReplaced) { EXPECT_EQ(Saved(), Saved()); }

TEST_F(PolicyFilesTest, RefusesWeightsOfAnotherDigest) {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  source.mutable_version()->set_digest("another");
  EXPECT_THAT(LoadPolicyWeights(source), StatusIs(absl::StatusCode::kDataLoss, "has another"));
  source.mutable_version()->clear_digest();
  EXPECT_OK(LoadPolicyWeights(source).status());
}

}  // namespace
}  // namespace attune
