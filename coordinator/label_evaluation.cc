#include "coordinator/label_evaluation.h"

#include <algorithm>

#include "common/check.h"
#include "common/statistics.h"
#include "coordinator/objective_spec.h"

namespace attune {
namespace {

v1::OracleSpec RewardsOf(const v1::JobSpec& spec, const std::string& checkpoint) {
  v1::OracleSpec oracle;
  oracle.set_path(checkpoint);
  if (NeedsOf(spec.objective()).rewards) {
    oracle.set_kind(v1::ORACLE_KIND_REWARD_MODEL);
    return oracle;
  }
  oracle.set_kind(v1::ORACLE_KIND_IMPLICIT_REWARD);
  oracle.set_reference_path(spec.model().path());
  oracle.set_beta(spec.objective().beta());
  return oracle;
}

bool LabelsDiffer(const v1::Prompt& prompt) {
  return std::any_of(prompt.given().begin(), prompt.given().end(),
                     [&](const v1::GivenResponse& response) {
                       return response.score() != prompt.given(0).score();
                     });
}

}  // namespace

bool EvaluatesByLabels(const v1::JobSpec& spec) {
  return spec.oracle().kind() == v1::ORACLE_KIND_DATASET || NeedsOf(spec.objective()).rewards;
}

v1::JudgeRequest LabelJudgeRequest(const v1::JobSpec& spec, const std::string& checkpoint,
                                   const Dataset& dataset, absl::Span<const uint32_t> holdout) {
  v1::JudgeRequest request;
  *request.mutable_spec() = RewardsOf(spec, checkpoint);
  for (uint32_t index : holdout) {
    const v1::Prompt& prompt = dataset.prompts[index];
    if (!LabelsDiffer(prompt)) continue;
    v1::Candidates* item = request.add_items();
    item->set_prompt_index(index);
    item->set_prompt(prompt.text());
    item->set_messages(prompt.messages());
    item->set_gold(prompt.gold());
    for (const v1::GivenResponse& response : prompt.given()) {
      item->add_responses(response.text());
      item->add_response_tokens(0);  // not known here, and not asked by these oracles
    }
  }
  return request;
}

v1::Evaluation EvaluateByLabels(const Dataset& dataset, absl::Span<const v1::Judgment> judgments) {
  uint32_t prompts = 0, pairs = 0, right = 0;
  for (const v1::Judgment& judgment : judgments) {
    if (judgment.scores().empty()) continue;  // it failed
    const auto& given = dataset.prompts[judgment.prompt_index()].given();
    ATTUNE_CHECK(judgment.scores_size() == given.size());
    ++prompts;
    for (int i = 0; i < given.size(); ++i) {
      for (int j = 0; j < given.size(); ++j) {
        if (given[i].score() <= given[j].score()) continue;
        ++pairs;
        if (judgment.scores(i) > judgment.scores(j)) ++right;
      }
    }
  }
  v1::Evaluation evaluation;
  evaluation.set_prompts(prompts);
  evaluation.set_pairs(pairs);
  if (pairs == 0) return evaluation;
  const Interval interval = WilsonInterval(right, pairs);
  evaluation.set_accuracy(static_cast<double>(right) / pairs);
  evaluation.set_accuracy_low(interval.low);
  evaluation.set_accuracy_high(interval.high);
  return evaluation;
}

}  // namespace attune
