#include "common/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/check.h"
#include "common/rng.h"

namespace attune {
namespace {

constexpr double kZ = 1.959963984540054;  // of the two-sided 95 % normal interval
constexpr int kResamples = 1000;
constexpr double kRidge = 0.01;
constexpr double kDraws = 0.01;  // games drawn that BradleyTerry adds to each pair

double Mean(absl::Span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// tanh(difference / standard deviation); all 0 where they do not vary: then nothing can be told
// about lengths.
std::vector<double> LengthTerms(absl::Span<const double> differences) {
  const double mean = Mean(differences);
  double squares = 0;
  for (double difference : differences) squares += (difference - mean) * (difference - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(differences.size()));
  std::vector<double> terms;
  for (double difference : differences) {
    terms.push_back(deviation > 0 ? std::tanh(difference / deviation) : 0);
  }
  return terms;
}

// -log likelihood of the regression and its ridge.
double Penalised(absl::Span<const double> y, absl::Span<const double> x, double intercept,
                 double slope) {
  double loss = kRidge / 2 * (intercept * intercept + slope * slope);
  for (size_t i = 0; i < y.size(); ++i) {
    const double logit = intercept + slope * x[i];
    loss += std::max(logit, 0.0) + std::log1p(std::exp(-std::abs(logit))) - y[i] * logit;
  }
  return loss;
}

}  // namespace

Interval WilsonInterval(double wins, double trials) {
  const double rate = wins / trials;
  const double scale = 1 / (1 + kZ * kZ / trials);
  const double middle = rate + kZ * kZ / (2 * trials);
  const double half = kZ * std::sqrt(rate * (1 - rate) / trials + kZ * kZ / (4 * trials * trials));
  return {.low = std::max(0.0, scale * (middle - half)),
          .high = std::min(1.0, scale * (middle + half))};
}

Interval BootstrapInterval(absl::Span<const double> values, uint64_t seed) {
  ATTUNE_CHECK(!values.empty());
  const size_t n = values.size();
  std::vector<double> means;
  for (uint64_t resample = 0; resample < kResamples; ++resample) {
    const CounterRng rng({seed, resample});
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += values[rng.Below(i, n)];
    means.push_back(sum / static_cast<double>(n));
  }
  return {.low = Quantile(means, 0.025), .high = Quantile(means, 0.975)};
}

// Newton's method on a strictly convex function of two variables; a step that overshoots is halved.
double LengthControlledWinRate(absl::Span<const double> preferences,
                               absl::Span<const double> length_differences) {
  ATTUNE_CHECK(!preferences.empty() && preferences.size() == length_differences.size());
  const std::vector<double> x = LengthTerms(length_differences);
  double intercept = 0, slope = 0;
  double loss = Penalised(preferences, x, intercept, slope);
  for (int iteration = 0; iteration < 100; ++iteration) {
    double g0 = kRidge * intercept, g1 = kRidge * slope;
    double h00 = kRidge, h01 = 0, h11 = kRidge;
    for (size_t i = 0; i < x.size(); ++i) {
      const double p = Sigmoid(intercept + slope * x[i]);
      g0 += p - preferences[i];
      g1 += (p - preferences[i]) * x[i];
      h00 += p * (1 - p);
      h01 += p * (1 - p) * x[i];
      h11 += p * (1 - p) * x[i] * x[i];
    }
    const double determinant = h00 * h11 - h01 * h01;
    double step0 = (h11 * g0 - h01 * g1) / determinant;
    double step1 = (h00 * g1 - h01 * g0) / determinant;
    double next = Penalised(preferences, x, intercept - step0, slope - step1);
    for (int halving = 0; next > loss && halving < 60; ++halving) {
      step0 /= 2;
      step1 /= 2;
      next = Penalised(preferences, x, intercept - step0, slope - step1);
    }
    if (next > loss) break;  // at the minimum, but for rounding
    intercept -= step0;
    slope -= step1;
    loss = next;
    if (std::abs(step0) + std::abs(step1) < 1e-10) break;
  }
  return Sigmoid(intercept);
}

double Correlation(absl::Span<const double> x, absl::Span<const double> y) {
  ATTUNE_CHECK(x.size() == y.size());
  if (x.empty()) return 0;
  const double mean_x = Mean(x), mean_y = Mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0) : 0;
}

double Quantile(std::vector<double> values, double share) {
  ATTUNE_CHECK(share >= 0 && share <= 1);
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double position = share * static_cast<double>(values.size() - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

CycleCount CountCycles(const PreferenceMatrix& matrix) {
  const auto beats = [&](size_t a, size_t b) { return matrix(a, b) > 0.5; };
  CycleCount count;
  for (size_t i = 0; i < matrix.size(); ++i) {
    for (size_t j = i + 1; j < matrix.size(); ++j) {
      for (size_t k = j + 1; k < matrix.size(); ++k) {
        ++count.triples;
        const bool one_way = beats(i, j) && beats(j, k) && beats(k, i);
        const bool other_way = beats(j, i) && beats(k, j) && beats(i, k);
        if (one_way || other_way) ++count.cyclic;
      }
    }
  }
  return count;
}

double Exploitability(const PreferenceMatrix& matrix, absl::Span<const double> mixture) {
  ATTUNE_CHECK(mixture.size() == matrix.size());
  double best = 0;
  for (size_t i = 0; i < matrix.size(); ++i) {
    double rate = 0;
    for (size_t j = 0; j < matrix.size(); ++j) rate += matrix(i, j) * mixture[j];
    best = std::max(best, rate - 0.5);
  }
  return best;
}

std::vector<double> BradleyTerry(size_t n, absl::Span<const double> wins) {
  ATTUNE_CHECK(wins.size() == n * n);
  std::vector<double> ratings(n, 0.0);
  // Each sweep sets every strength to (its wins) / sum over opponents of games / (sum of the two),
  // in logarithms so that strengths of a thousand games to none do not overflow.
  for (int sweep = 0; sweep < 10000; ++sweep) {
    double change = 0;
    for (size_t i = 0; i < n; ++i) {
      double won = 0, expected = 0;
      for (size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        won += wins[i * n + j] + kDraws / 2;
        const double games = wins[i * n + j] + wins[j * n + i] + kDraws;
        expected += games * Sigmoid(ratings[i] - ratings[j]);
      }
      if (won == 0) continue;  // a single player
      const double step = std::log(won / expected);
      ratings[i] += step;
      change = std::max(change, std::abs(step));
    }
    if (change < 1e-9) break;
  }
  const double mean = n == 0 ? 0 : Mean(ratings);
  for (double& rating : ratings) rating -= mean;
  return ratings;
}

}  // namespace attune
