#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attune {
namespace {

// theta^(2 d / dim). Here and below every step is rounded to float where PyTorch's tensors are:
// position 100,000 turns a difference in the last bit of a frequency into one of the angle's
// hundredths.
float ThetaPower(double theta, size_t d, int64_t dim) {
  const float exponent = static_cast<float>(2 * d) / static_cast<float>(dim);
  return static_cast<float>(std::pow(static_cast<double>(static_cast<float>(theta)), exponent));
}

}  // namespace

void Rope::Angles(int64_t position, float* cosines, float* sines) const {
  for (size_t d = 0; d < frequencies.size(); ++d) {
    const double angle = static_cast<float>(position) * frequencies[d];
    cosines[d] = static_cast<float>(std::cos(angle)) * scale;
    sines[d] = static_cast<float>(std::sin(angle)) * scale;
  }
}

std::vector<float> RopeFrequencies(double theta, int64_t dim) {
  return LongRopeFrequencies(theta, dim, std::vector<float>(dim / 2, 1.0f));
}

std::vector<float> Llama3Frequencies(const std::vector<float>& frequencies,
                                     const Llama3Scaling& scaling) {
  const auto factor = static_cast<float>(scaling.factor);
  const auto low = static_cast<float>(scaling.low_freq_factor);
  const auto span = static_cast<float>(scaling.high_freq_factor - scaling.low_freq_factor);
  const double original = scaling.original_max_position_embeddings;
  const auto longest = static_cast<float>(original / scaling.low_freq_factor);
  const auto shortest = static_cast<float>(original / scaling.high_freq_factor);
  std::vector<float> scaled;
  for (const float frequency : frequencies) {
    const float wavelength = 1 / frequency * static_cast<float>(2 * std::numbers::pi);
    if (wavelength > longest) {
      scaled.push_back(frequency / factor);
    } else if (wavelength < shortest) {
      scaled.push_back(frequency);
    } else {
      const float kept = (1 / wavelength * static_cast<float>(original) - low) / span;
      scaled.push_back((1 - kept) * frequency / factor + kept * frequency);
    }
  }
  return scaled;
}

std::vector<float> YarnFrequencies(double theta, int64_t dim, const YarnScaling& scaling) {
  // The dimension whose pair turns that often within the original context.
  const auto dimension_of = [&](double turns) {
    const double wavelength = scaling.original_max_position_embeddings / turns;
    return dim * std::log(wavelength / (2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dimension_of(scaling.beta_fast);
  double high = dimension_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  const auto first = static_cast<float>(low);
  const auto span = static_cast<float>(high - low);
  const auto slow = static_cast<float>(scaling.factor);
  std::vector<float> frequencies(dim / 2);
  for (size_t d = 0; d < frequencies.size(); ++d) {
    const float power = ThetaPower(theta, d, dim);
    const float kept = 1 - std::clamp((static_cast<float>(d) - first) / span, 0.0f, 1.0f);
    frequencies[d] = 1 / (slow * power) * (1 - kept) + 1 / power * kept;
  }
  return frequencies;
}

std::vector<float> LongRopeFrequencies(double theta, int64_t dim,
                                       const std::vector<float>& factors) {
  std::vector<float> frequencies(dim / 2);
  for (size_t d = 0; d < frequencies.size(); ++d) {
    frequencies[d] = 1 / (factors[d] * ThetaPower(theta, d, dim));
  }
  return frequencies;
}

double YarnMscale(double factor, double mscale) {
  return factor > 1 ? 0.1 * mscale * std::log(factor) + 1 : 1;
}

}  // namespace attune
