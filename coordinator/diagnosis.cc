#include "coordinator/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <vector>

#include "common/check.h"
#include "common/statistics.h"
#include "coordinator/defects.h"

namespace attune {
namespace {

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

double Sum(const google::protobuf::RepeatedField<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Sampled from the policy of the round.
bool IsOwn(const v1::Response& response) {
  return response.provenance() != v1::PROVENANCE_GOLD &&
         response.provenance() != v1::PROVENANCE_OPPONENT &&
         response.provenance() != v1::PROVENANCE_GIVEN;
}

// What is added up over the prompts of a round.
struct JudgmentSums {
  double pairs = 0, ties = 0;
  double cyclic = 0, triples = 0;
  std::vector<double> lengths, scores;  // less the mean of their prompt
};

void AddPairs(const v1::Judgment& judgment, JudgmentSums* sums) {
  const int n = judgment.scores_size();
  const bool prefers = judgment.preferences_size() > 0;
  for (int i = 0; i < n; ++i) {
    for (int j = i + 1; j < n; ++j) {
      const bool tied = prefers ? judgment.preferences(i * n + j) == 0.5
                                : judgment.scores(i) == judgment.scores(j);
      sums->pairs += 1;
      sums->ties += tied ? 1 : 0;
    }
  }
  if (!prefers) return;
  const CycleCount count = CountCycles({static_cast<size_t>(n), judgment.preferences().data()});
  sums->cyclic += static_cast<double>(count.cyclic);
  sums->triples += static_cast<double>(count.triples);
}

void AddPrompt(absl::Span<const v1::Response> responses, const v1::Judgment& judgment,
               JudgmentSums* sums) {
  ATTUNE_CHECK(static_cast<size_t>(judgment.scores_size()) == responses.size());
  const auto n = static_cast<double>(responses.size());
  double length = 0, score = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    length += responses[i].token_ids_size() / n;
    score += judgment.scores(static_cast<int>(i)) / n;
  }
  for (size_t i = 0; i < responses.size(); ++i) {
    sums->lengths.push_back(responses[i].token_ids_size() - length);
    sums->scores.push_back(judgment.scores(static_cast<int>(i)) - score);
  }
  AddPairs(judgment, sums);
}

// sampler_gap and sampler_staleness.
void DiagnoseSamplers(absl::Span<const v1::Response> responses, v1::Diagnosis* diagnosis) {
  double gaps = 0, with_gap = 0;
  uint32_t staleness = 0;
  for (const v1::Response& response : responses) {
    if (!response.has_sampler()) continue;
    staleness = std::max(staleness, response.sampler().staleness());
    if (response.sampling_logps().empty()) continue;  // there was nothing to compare with
    gaps += response.sampler().gap();
    with_gap += 1;
  }
  diagnosis->set_sampler_gap(Share(gaps, with_gap));
  diagnosis->set_sampler_staleness(staleness);
}

}  // namespace

void DiagnoseSamples(const v1::DefectSpec& defects, absl::Span<const v1::Response> responses,
                     v1::Diagnosis* diagnosis) {
  double own = 0, tokens = 0, logps = 0, log_ratios = 0, with_initial = 0, defective = 0;
  for (const v1::Response& response : responses) {
    defective += HasDefect(response, defects) ? 1 : 0;
    if (!IsOwn(response)) continue;
    own += 1;
    tokens += response.token_ids_size();
    logps += Sum(response.logps());
    if (response.initial_logps_size() != response.logps_size()) continue;
    with_initial += 1;
    log_ratios += Sum(response.logps()) - Sum(response.initial_logps());
  }
  diagnosis->set_entropy(Share(0 - logps, tokens));
  diagnosis->set_mean_length(Share(tokens, own));
  diagnosis->set_defect_rate(Share(defective, static_cast<double>(responses.size())));
  if (with_initial == own) diagnosis->set_kl(Share(log_ratios, own));
  DiagnoseSamplers(responses, diagnosis);
}

void DiagnoseJudgments(absl::Span<const v1::Response> responses,
                       absl::Span<const v1::Judgment> judgments, v1::Diagnosis* diagnosis) {
  std::map<uint32_t, const v1::Judgment*> by_prompt;
  uint32_t swaps = 0, agreed = 0, unjudged = 0;
  for (const v1::Judgment& judgment : judgments) {
    if (judgment.scores().empty() && judgment.failure().empty()) ++unjudged;
    if (judgment.scores().empty()) continue;
    by_prompt[judgment.prompt_index()] = &judgment;
    swaps += judgment.swaps();
    agreed += judgment.swaps_agreed();
  }
  JudgmentSums sums;
  for (size_t begin = 0, end = 0; begin < responses.size(); begin = end) {
    const uint32_t prompt = responses[begin].prompt_index();
    while (end < responses.size() && responses[end].prompt_index() == prompt) ++end;
    const auto judgment = by_prompt.find(prompt);
    if (judgment == by_prompt.end()) continue;
    AddPrompt(responses.subspan(begin, end - begin), *judgment->second, &sums);
  }
  diagnosis->set_tie_rate(Share(sums.ties, sums.pairs));
  diagnosis->set_length_bias(Correlation(sums.scores, sums.lengths));
  diagnosis->set_cycle_rate(Share(sums.cyclic, sums.triples));
  diagnosis->set_triples(static_cast<uint64_t>(sums.triples));
  diagnosis->set_swap_consistency(Share(agreed, swaps));
  diagnosis->set_swaps(swaps);
  diagnosis->set_unjudged(unjudged);
}

void DiagnosePairs(absl::Span<const v1::Pair> pairs, v1::Diagnosis* diagnosis) {
  double chosen = 0, rejected = 0, longer = 0, margin = 0;
  std::vector<double> ches;
  for (const v1::Pair& pair : pairs) {
    chosen += pair.chosen().token_ids_size();
    rejected += pair.rejected().token_ids_size();
    longer += pair.chosen().token_ids_size() > pair.rejected().token_ids_size() ? 1 : 0;
    margin += pair.chosen_score() - pair.rejected_score();
    if (std::isfinite(pair.ches()) && pair.ches() != 0) ches.push_back(pair.ches());
  }
  const auto count = static_cast<double>(pairs.size());
  diagnosis->set_chosen_length(Share(chosen, count));
  diagnosis->set_rejected_length(Share(rejected, count));
  diagnosis->set_chosen_longer(Share(longer, count));
  diagnosis->set_mean_margin(Share(margin, count));
  diagnosis->set_mean_ches(
      Share(std::accumulate(ches.begin(), ches.end(), 0.0), static_cast<double>(ches.size())));
  diagnosis->set_high_ches(Quantile(ches, 0.9));
}

}  // namespace attune
