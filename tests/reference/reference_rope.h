// Rotary position embeddings as transformers' modeling_rope_utils defines them, in double
// precision.
#ifndef ATTUNE_TESTS_REFERENCE_REFERENCE_ROPE_H_
#define ATTUNE_TESTS_REFERENCE_REFERENCE_ROPE_H_

#include <cstdint>
#include <vector>

#include "nlohmann/json.hpp"

namespace attune {

struct ReferenceRope {
  std::vector<double> frequencies;  // radians per position; half of the rotated dimensions
  double attention_factor = 1;      // cosines and sines are multiplied by it
};

// For one forward pass over `sequence_length` tokens without a cache: "dynamic" and "longrope"
// depend on the length. Frequencies stay in double; transformers rounds them (and the angles) to
// float, which moves an angle at position p by at most about p * 1e-7.
ReferenceRope MakeReferenceRope(const nlohmann::json& config, int64_t head_dim,
                                int64_t sequence_length);

// Rotates the first 2 * frequencies.size() of `head` by the angles of `position`: the dimension i
// goes with i + frequencies.size(). The rest stays.
void RotateHead(const ReferenceRope& rope, int64_t position, double* head);

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_REFERENCE_ROPE_H_
