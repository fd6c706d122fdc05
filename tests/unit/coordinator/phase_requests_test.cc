#include "coordinator/phase_requests.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::JobSpec Spec() {
  v1::JobSpec spec;
  spec.set_seed(7);
  v1::SamplingSpec& sampling = *spec.mutable_sampling();
  sampling.set_num_generations(4);
  sampling.set_opponent(v1::OPPONENT_MIXTURE);
  sampling.set_mixture_coef(0.25);
  spec.mutable_pairing()->set_ches_percentile(5);
  spec.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
  spec.mutable_objective()->set_reference(v1::REFERENCE_INITIAL);
  return spec;
}

Dataset ThreePrompts() {
  Dataset dataset;
  for (uint32_t i = 0; i < 3; ++i) {
    v1::Prompt& prompt = dataset.prompts.emplace_back();
    prompt.set_index(i);
    prompt.set_text("right");
    prompt.set_corrupted("wrong");
  }
  return dataset;
}

v1::SampleRequest RoundRequest(const v1::JobSpec& spec) {
  return RoundSampleRequest(spec, ThreePrompts(), {2, 0}, 4, v1::PolicyVersion());
}

v1::SampleRequest HoldoutRequest(const v1::JobSpec& spec) {
  return HoldoutSampleRequest(spec, ThreePrompts(), {2, 0}, 4, v1::PolicyVersion());
}

TEST(PhaseRequestsTest, ARoundSamplesAsTheJobSays) {
  const v1::SampleRequest request = RoundRequest(Spec());
  ASSERT_EQ(request.prompts_size(), 2);
  EXPECT_EQ(request.prompts(0).index(), 2u);
  EXPECT_EQ(request.sampling().SerializeAsString(), Spec().sampling().SerializeAsString());
  EXPECT_EQ(request.seed(), 7u);
  EXPECT_EQ(request.round(), 4u);
  EXPECT_TRUE(request.with_initial_logps());
}

TEST(PhaseRequestsTest, HiddenSumsAreAskedForAndNeededWherePairsAreFilteredByThem) {
  v1::JobSpec spec = Spec();
  EXPECT_TRUE(NeedsHiddenSums(spec));
  spec.mutable_pairing()->set_ches_percentile(100);
  EXPECT_FALSE(NeedsHiddenSums(spec));
  EXPECT_TRUE(RoundRequest(spec).with_hidden_sums());
  spec.mutable_pairing()->clear_ches_percentile();  // a job of before there was the filter
  EXPECT_FALSE(NeedsHiddenSums(spec));
}

TEST(PhaseRequestsTest, CorruptedPromptsAreForTheLossesThatUseThem) {
  v1::JobSpec spec = Spec();
  EXPECT_EQ(RoundRequest(spec).prompts(0).corrupted(), "");
  for (const v1::LossType loss : {v1::LOSS_TYPE_MCM_DPO, v1::LOSS_TYPE_REALIGN}) {
    spec = Spec();
    spec.mutable_objective()->add_loss_type(loss);
    EXPECT_EQ(RoundRequest(spec).prompts(0).corrupted(), "wrong");
    EXPECT_EQ(HoldoutRequest(spec).prompts(0).corrupted(), "");
  }
}

TEST(PhaseRequestsTest, HeldOutPromptsAreAnsweredOnceByThePolicyItself) {
  const v1::SampleRequest request = HoldoutRequest(Spec());
  EXPECT_EQ(request.sampling().num_generations(), 1u);
  EXPECT_EQ(request.sampling().opponent(), v1::OPPONENT_NONE);
  EXPECT_FALSE(request.with_hidden_sums());
  EXPECT_TRUE(request.with_initial_logps());
  EXPECT_FALSE(request.include_gold());
  EXPECT_NE(request.seed(), 7u);
}

TEST(PhaseRequestsTest, ResponsesOfTheDatasetAreForTrainingAlone) {
  Dataset dataset = ThreePrompts();
  for (v1::Prompt& prompt : dataset.prompts) prompt.add_given()->set_text("given");
  EXPECT_EQ(RoundSampleRequest(Spec(), dataset, {2, 0}, 4, {}).prompts(1).given_size(), 1);
  EXPECT_EQ(HoldoutSampleRequest(Spec(), dataset, {2, 0}, 4, {}).prompts(1).given_size(), 0);
}

}  // namespace
}  // namespace attune
