// Rotary position embeddings (Su et al. 2021): at position p, the pair of values d of a head turns
// by the angle p * frequency[d]. Context extensions change the frequencies, as in Hugging Face's
// modeling_rope_utils.
#ifndef ATTUNE_MODEL_ROPE_H_
#define ATTUNE_MODEL_ROPE_H_

#include <cstdint>
#include <vector>

namespace attune {

struct Rope {
  std::vector<float> frequencies;  // radians per position; empty: no rotation
  float scale = 1;                 // of cosines and sines (yarn, longrope)

  // Values of a head that turn: the first rotary_dim(), value d with value d + rotary_dim() / 2.
  int64_t rotary_dim() const { return 2 * static_cast<int64_t>(frequencies.size()); }

  // scale * cos and scale * sin of the position's angles, rotary_dim() / 2 each. Angles are rounded
  // to float as Hugging Face's are: models were trained with those.
  void Angles(int64_t position, float* cosines, float* sines) const;
};

// theta^(-2 d / dim), d < dim / 2.
std::vector<float> RopeFrequencies(double theta, int64_t dim);

// "llama3" (Llama 3.1): long wavelengths are slowed down by `factor`, short ones kept, those
// between blended.
struct Llama3Scaling {
  double factor;
  double low_freq_factor;
  double high_freq_factor;
  double original_max_position_embeddings;
};
std::vector<float> Llama3Frequencies(const std::vector<float>& frequencies,
                                     const Llama3Scaling& scaling);

// "yarn" (Peng et al. 2023): a ramp over the dimensions between kept and slowed frequencies, from
// beta_fast to beta_slow turns within the original context.
struct YarnScaling {
  double factor;
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;
  double original_max_position_embeddings;
};
std::vector<float> YarnFrequencies(double theta, int64_t dim, const YarnScaling& scaling);

// "longrope" (Phi-3): frequency d of RopeFrequencies slowed down by factors[d].
std::vector<float> LongRopeFrequencies(double theta, int64_t dim,
                                       const std::vector<float>& factors);

// 0.1 mscale ln(factor) + 1 for factor > 1, else 1: yarn's factor of cosines and sines.
double YarnMscale(double factor, double mscale);

}  // namespace attune

#endif  // ATTUNE_MODEL_ROPE_H_
