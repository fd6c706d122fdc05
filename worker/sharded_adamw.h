// AdamW (Loshchilov & Hutter 2019) over one flat parameter vector shared out between ranks, and
// the clipping of gradients before it.
#ifndef ATTUNE_WORKER_SHARDED_ADAMW_H_
#define ATTUNE_WORKER_SHARDED_ADAMW_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "comm/collective.h"
#include "model/weights.h"

namespace attune {

struct AdamWOptions {
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;   // decoupled; on tensors of two dimensions only
  double max_grad_norm;  // 0 = no clipping
  uint32_t zero_stage;   // 1: each rank keeps the moments of its slice; 0: of everything
};

// Elements of one rank's slice of a vector of `count`: the n-th part, rounded up.
int64_t SliceSize(int64_t count, int ranks);

// The state of the optimiser of one rank. Both stages give the same numbers.
class ShardedAdamW {
 public:
  ShardedAdamW(std::vector<TensorSpec> layout, const AdamWOptions& options,
               const Collective& ranks);

  // One update. Both vectors have SliceSize() * ranks elements in the order of the layout, padded
  // with zeros. `gradients` are this rank's part of a sum over ranks; they are zero afterwards.
  // They are summed in double precision and rounded once, so that the sum practically does not
  // depend on how it was shared out (fp32 addends leave 29 spare bits).
  // `parameters` are equal on all ranks before and after. Returns the norm of the summed gradient
  // before clipping. FAILED_PRECONDITION on every rank, with the parameters untouched, when that
  // is not finite.
  [[nodiscard]] absl::StatusOr<double> Step(Collective& ranks, double learning_rate,
                                            absl::Span<float> parameters,
                                            absl::Span<double> gradients);

 private:
  // Elements [begin, begin + gradient.size()) of the vector.
  void Update(int64_t begin, absl::Span<const float> gradient, float clip, double learning_rate,
              absl::Span<float> parameters);

  const std::vector<TensorSpec> layout_;
  const AdamWOptions options_;
  const int64_t slice_size_;
  int64_t steps_ = 0;
  std::vector<double> sum_slice_;
  std::vector<float> gradient_;  // rounded: of the slice (stage 1) or of everything (stage 0)
  std::vector<float> first_moments_;   // of the slice (stage 1) or of everything (stage 0)
  std::vector<float> second_moments_;
};

}  // namespace attune

#endif  // ATTUNE_WORKER_SHARDED_ADAMW_H_
