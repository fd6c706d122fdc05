#include "coordinator/phase_requests.h"

#include "common/rng.h"
#include "coordinator/objective_spec.h"

namespace attune {
namespace {

constexpr uint64_t kHoldoutTag = 0x686f6c646f7574;  // "holdout"

v1::SampleRequest MakeSampleRequest(const v1::JobSpec& spec, const Dataset& dataset,
                                    absl::Span<const uint32_t> prompts, uint32_t round,
                                    const v1::PolicyVersion& policy) {
  v1::SampleRequest request;
  *request.mutable_policy() = policy;
  *request.mutable_sampling() = spec.sampling();
  request.set_precision(spec.training().precision());
  request.set_round(round);
  for (uint32_t prompt : prompts) *request.add_prompts() = dataset.prompts[prompt];
  return request;
}

void ClearCorrupted(v1::SampleRequest* request) {
  for (v1::Prompt& prompt : *request->mutable_prompts()) prompt.clear_corrupted();
}

}  // namespace

bool NeedsHiddenSums(const v1::JobSpec& spec) {
  return spec.pairing().has_ches_percentile() && spec.pairing().ches_percentile() < 100;
}

v1::SampleRequest RoundSampleRequest(const v1::JobSpec& spec, const Dataset& dataset,
                                     absl::Span<const uint32_t> prompts, uint32_t round,
                                     const v1::PolicyVersion& policy) {
  v1::SampleRequest request = MakeSampleRequest(spec, dataset, prompts, round, policy);
  request.set_seed(spec.seed());
  request.set_include_gold(spec.pairing().include_gold());
  request.set_with_initial_logps(spec.objective().reference() == v1::REFERENCE_INITIAL);
  request.set_with_hidden_sums(true);
  const LossNeeds needs = NeedsOf(spec.objective());
  if (!needs.corrupted && !needs.views) ClearCorrupted(&request);
  return request;
}

v1::SampleRequest HoldoutSampleRequest(const v1::JobSpec& spec, const Dataset& dataset,
                                       absl::Span<const uint32_t> prompts, uint32_t round,
                                       const v1::PolicyVersion& policy) {
  v1::SampleRequest request = MakeSampleRequest(spec, dataset, prompts, round, policy);
  request.set_seed(CounterRng({spec.seed(), kHoldoutTag}).key());
  request.mutable_sampling()->set_num_generations(1);
  request.mutable_sampling()->set_opponent(v1::OPPONENT_NONE);
  request.set_with_initial_logps(true);
  for (v1::Prompt& prompt : *request.mutable_prompts()) prompt.clear_given();
  ClearCorrupted(&request);
  return request;
}

v1::JudgeRequest MakeJudgeRequest(const v1::OracleSpec& spec, const Dataset& dataset,
                                  absl::Span<const v1::Response> responses) {
  v1::JudgeRequest request;
  *request.mutable_spec() = spec;
  v1::Candidates* item = nullptr;
  for (const v1::Response& response : responses) {
    if (item == nullptr || item->prompt_index() != response.prompt_index()) {
      item = request.add_items();
      item->set_prompt_index(response.prompt_index());
      const v1::Prompt& prompt = dataset.prompts[response.prompt_index()];
      item->set_prompt(prompt.text());
      item->set_messages(prompt.messages());
      item->set_gold(prompt.gold());
    }
    item->add_responses(response.text());
    item->add_response_tokens(static_cast<uint32_t>(response.token_ids_size()));
  }
  return request;
}

}  // namespace attune
