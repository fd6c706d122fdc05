// A preference game small enough to know the answer: one prompt, three responses that beat each
// other in a circle, and a tabular softmax policy trained in rounds by the losses of the service.
//
// Preferences are intransitive, so that no score of the responses explains them; what Direct Nash
// Optimization promises is that the average of its iterates approaches the Nash equilibrium.
#ifndef ATTUNE_TESTS_UNIT_OBJECTIVES_NASH_GAME_H_
#define ATTUNE_TESTS_UNIT_OBJECTIVES_NASH_GAME_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/functional/function_ref.h"

namespace attune {

// [3, 3] float64, P(row is preferred to column), of rock, paper, scissors: rock beats scissors with
// 0.95, paper beats rock with 0.75, scissors beat paper with 0.65.
at::Tensor BiasedRockPaperScissors();

// [3] of a game of three responses without pure equilibrium, in closed form: a response is played
// in proportion to the margin P - 1/2 between the other two.
at::Tensor NashEquilibrium(const at::Tensor& preferences);

// [n] P(y > y') of each response against a policy's.
at::Tensor WinRates(const at::Tensor& preferences, const at::Tensor& policy);

// max over y of P(y > policy) - 1/2: what the best answer to the policy wins; 0 at equilibrium.
double Exploitability(const at::Tensor& preferences, const at::Tensor& policy);

double TotalVariation(const at::Tensor& policy, const at::Tensor& other);

// [n] maximum-likelihood Bradley-Terry scores, every pair compared equally often.
at::Tensor BradleyTerryScores(const at::Tensor& preferences);

// The pairs of one round.
struct RoundPairs {
  at::Tensor chosen;    // [pairs] int64, responses
  at::Tensor rejected;  // [pairs]
  at::Tensor target;    // [pairs] as LossBatch.target; undefined: 1
};

// What DNO's Algorithm 1 asks for with exact expectations: all pairs, each against the sigmoid of
// its gap in win rate over the policy. Pairs weigh the same: the policy can meet all targets at
// once, so that every distribution over all pairs has the same minimum, and this one is the best
// conditioned.
RoundPairs WinRatePairs(const at::Tensor& preferences, const at::Tensor& policy);

// The same from samples, as a job makes them: for each of `prompts`, five responses of the policy,
// every two of them compared once (a draw from the preferences; equal responses tie), the win rate
// of a response estimated from its four comparisons, and all pairs of different responses with
// different win rates. A pure function of its arguments.
RoundPairs SampledPairs(const at::Tensor& preferences, const at::Tensor& policy, int prompts,
                        uint64_t seed, int round);

// All pairs, the higher score chosen.
RoundPairs ScorePairs(const at::Tensor& scores);

struct GameTraining {
  const char* loss;  // of FindLoss
  double beta = 4;   // eta of DNO: the next policy is pi exp(win rate / eta), normalised
  int rounds = 2400;
};

// Trains from the policy `initial`, all of it > 0. Each round asks for pairs of its policy (rounds
// from 1) and minimises the loss on them by gradient descent, with the round's policy as the
// reference. Returns [rounds, n], whose row t is the uniform mixture of the policies that rounds
// 1 .. t + 1 began with.
at::Tensor AveragePolicies(
    const at::Tensor& initial, const GameTraining& training,
    absl::FunctionRef<RoundPairs(const at::Tensor& policy, int round)> pairs_of_round);

// One value for each row of AveragePolicies.
struct GameSeries {
  std::vector<double> distance;  // total variation to the equilibrium
  std::vector<double> exploitability;
};
GameSeries Measure(const at::Tensor& preferences, const at::Tensor& average_policies);

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_OBJECTIVES_NASH_GAME_H_
