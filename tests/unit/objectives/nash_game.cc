#include "tests/unit/objectives/nash_game.h"

#include <array>
#include <cmath>

#include <ATen/ATen.h>

#include "common/check.h"
#include "common/rng.h"
#include "worker/objectives/losses.h"

namespace attune {
namespace {

constexpr int kGradientSteps = 6;
constexpr int kCandidates = 5;
constexpr int kScoreSteps = 1000;

// The loss is a mean over pairs of cross-entropies of sigmoid(beta h), so that the eigenvalues of
// its Hessian in the logits are at most beta^2 / 2, and about beta^2 / 4 where all pairs weigh the
// same. A step takes the error of the latter to about a quarter and cannot diverge with the former.
double StepSize(double beta) { return 3 / (beta * beta); }

ResponseColumns Responses(const at::Tensor& logps, const at::Tensor& reference_logps,
                          const at::Tensor& rows) {
  ResponseColumns columns;
  columns.logps = logps.index_select(0, rows);
  columns.reference_logps = reference_logps.index_select(0, rows);
  return columns;
}

// The logits after one round, from those it began with.
at::Tensor TrainRound(const at::Tensor& initial, const Objective& objective,
                      const RoundPairs& pairs) {
  const at::Tensor reference_logps = at::log_softmax(initial, 0);
  at::Tensor logits = initial;
  for (int step = 0; step < kGradientSteps; ++step) {
    const at::Tensor parameters = logits.detach().set_requires_grad(true);
    const at::Tensor logps = at::log_softmax(parameters, 0);
    LossBatch batch;
    batch.chosen = Responses(logps, reference_logps, pairs.chosen);
    batch.rejected = Responses(logps, reference_logps, pairs.rejected);
    batch.target = pairs.target;
    Evaluate(objective, batch).loss.backward();
    logits = parameters.detach() - StepSize(objective.options.beta) * parameters.grad();
  }
  return logits;
}

int Sample(const double* policy, int n, double uniform) {
  for (int response = 0; response + 1 < n; ++response) {
    uniform -= policy[response];
    if (uniform < 0) return response;
  }
  return n - 1;
}

struct Candidates {
  std::array<int, kCandidates> responses;
  std::array<double, kCandidates> win_rates;  // over the other candidates
};

Candidates SampleCandidates(const at::Tensor& preferences, const at::Tensor& policy,
                            const CounterRng& rng) {
  const auto preference = preferences.accessor<double, 2>();
  Candidates candidates = {};
  uint64_t draw = 0;
  for (int& response : candidates.responses) {
    response = Sample(policy.data_ptr<double>(), policy.numel(), rng.Uniform(draw++));
  }
  for (int i = 0; i < kCandidates; ++i) {
    for (int j = i + 1; j < kCandidates; ++j) {
      const int a = candidates.responses[i];
      const int b = candidates.responses[j];
      const double win = a == b ? 0.5 : rng.Uniform(draw++) < preference[a][b] ? 1 : 0;
      candidates.win_rates[i] += win / (kCandidates - 1);
      candidates.win_rates[j] += (1 - win) / (kCandidates - 1);
    }
  }
  return candidates;
}

}  // namespace

at::Tensor BiasedRockPaperScissors() {
  return at::tensor({0.5, 0.25, 0.95,  //
                     0.75, 0.5, 0.35,  //
                     0.05, 0.65, 0.5},
                    at::kDouble)
      .reshape({3, 3});
}

at::Tensor NashEquilibrium(const at::Tensor& preferences) {
  const auto p = preferences.accessor<double, 2>();
  const at::Tensor margins = at::tensor({p[1][2], p[2][0], p[0][1]}, at::kDouble) - 0.5;
  return margins / margins.sum();
}

at::Tensor WinRates(const at::Tensor& preferences, const at::Tensor& policy) {
  return preferences.mv(policy);
}

double Exploitability(const at::Tensor& preferences, const at::Tensor& policy) {
  return WinRates(preferences, policy).max().item<double>() - 0.5;
}

double TotalVariation(const at::Tensor& policy, const at::Tensor& other) {
  return 0.5 * (policy - other).abs().sum().item<double>();
}

at::Tensor BradleyTerryScores(const at::Tensor& preferences) {
  at::Tensor scores = at::zeros({preferences.size(0)}, at::kDouble);
  for (int step = 0; step < kScoreSteps; ++step) {  // up the gradient of the log-likelihood
    scores += (preferences - at::sigmoid(scores.unsqueeze(1) - scores)).sum(1);
  }
  return scores;
}

RoundPairs WinRatePairs(const at::Tensor& preferences, const at::Tensor& policy) {
  const at::Tensor pairs = at::combinations(at::arange(policy.numel()), 2);
  const at::Tensor win_rates = WinRates(preferences, policy);
  RoundPairs round = {pairs.select(1, 0), pairs.select(1, 1), at::Tensor()};
  round.target = at::sigmoid(win_rates.index_select(0, round.chosen) -
                             win_rates.index_select(0, round.rejected));
  return round;
}

RoundPairs SampledPairs(const at::Tensor& preferences, const at::Tensor& policy, int prompts,
                        uint64_t seed, int round) {
  std::vector<int64_t> chosen, rejected;
  std::vector<double> gaps;
  for (int prompt = 0; prompt < prompts; ++prompt) {
    const CounterRng rng({seed, static_cast<uint64_t>(round), static_cast<uint64_t>(prompt)});
    const Candidates candidates = SampleCandidates(preferences, policy, rng);
    for (int i = 0; i < kCandidates; ++i) {
      for (int j = i + 1; j < kCandidates; ++j) {
        const double gap = candidates.win_rates[i] - candidates.win_rates[j];
        if (gap == 0 || candidates.responses[i] == candidates.responses[j]) continue;
        chosen.push_back(candidates.responses[gap > 0 ? i : j]);
        rejected.push_back(candidates.responses[gap > 0 ? j : i]);
        gaps.push_back(std::abs(gap));
      }
    }
  }
  return {at::tensor(chosen), at::tensor(rejected), at::sigmoid(at::tensor(gaps, at::kDouble))};
}

RoundPairs ScorePairs(const at::Tensor& scores) {
  const at::Tensor best_first = at::argsort(scores, /*dim=*/0, /*descending=*/true);
  const at::Tensor pairs = at::combinations(best_first, 2);
  return {pairs.select(1, 0), pairs.select(1, 1), at::Tensor()};
}

at::Tensor AveragePolicies(
    const at::Tensor& initial, const GameTraining& training,
    absl::FunctionRef<RoundPairs(const at::Tensor& policy, int round)> pairs_of_round) {
  Objective objective = {{{FindLoss(training.loss), 1.0}}, {}};
  ATTUNE_CHECK(objective.losses[0].loss != nullptr);
  objective.options.beta = training.beta;
  at::Tensor logits = initial.log();
  at::Tensor sum = at::zeros_like(initial);
  std::vector<at::Tensor> averages;
  for (int round = 1; round <= training.rounds; ++round) {
    const at::Tensor policy = at::softmax(logits, 0);
    sum += policy;
    averages.push_back(sum / round);
    logits = TrainRound(logits, objective, pairs_of_round(policy, round));
  }
  return at::stack(averages);
}

GameSeries Measure(const at::Tensor& preferences, const at::Tensor& average_policies) {
  const at::Tensor equilibrium = NashEquilibrium(preferences);
  GameSeries series;
  for (int64_t row = 0; row < average_policies.size(0); ++row) {
    const at::Tensor policy = average_policies[row];
    series.distance.push_back(TotalVariation(policy, equilibrium));
    series.exploitability.push_back(Exploitability(preferences, policy));
  }
  return series;
}

}  // namespace attune
