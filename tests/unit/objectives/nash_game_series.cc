// Prints the series that docs/nash.md plots: "run,round,distance,exploitability".
#include <cstdio>

#include <ATen/ATen.h>

#include "tests/unit/objectives/nash_game.h"

namespace attune {
namespace {

void Print(const char* run, const GameSeries& series) {
  for (size_t i = 0; i < series.distance.size(); ++i) {
    std::printf("%s,%zu,%.9f,%.9f\n", run, i + 1, series.distance[i], series.exploitability[i]);
  }
}

void PrintAll() {
  const at::Tensor game = BiasedRockPaperScissors();
  const at::Tensor initial = at::tensor({0.5, 0.25, 0.25}, at::kDouble);
  std::puts("run,round,distance,exploitability");
  Print("dno", Measure(game, AveragePolicies(initial, {"dno"}, [&](const at::Tensor& policy, int) {
                         return WinRatePairs(game, policy);
                       })));
  Print(
      "dno_sampled",
      Measure(game, AveragePolicies(initial, {"dno", 8}, [&](const at::Tensor& policy, int round) {
                return SampledPairs(game, policy, /*prompts=*/64, /*seed=*/1, round);
              })));
  const at::Tensor scores = BradleyTerryScores(game);
  Print("bradley_terry",
        Measure(game, AveragePolicies(initial, {"sigmoid"},
                                      [&](const at::Tensor&, int) { return ScorePairs(scores); })));
}

}  // namespace
}  // namespace attune

int main() { attune::PrintAll(); }
