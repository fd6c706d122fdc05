// Optimisers over one flat parameter vector shared out between ranks, and the clipping of
// gradients before them. With learning rate l, gradient g after clipping, and weight decay d, which
// applies to tensors of two dimensions only:
//
//   AdamW (Loshchilov & Hutter 2019)  m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
//                                     w = (1 - l d) w - l m' / (sqrt(v') + e), of m and v corrected
//                                     for their beginning at zero
//   RMSprop (Hinton 2012)             v = 0.99 v + 0.01 (g + d w)^2, w -= l (g + d w) / (sqrt(v) +
//   e) SGD                               w -= l (g + d w)
//
// as torch.optim has them without momentum.
#ifndef ATTUNE_WORKER_SHARDED_OPTIMIZER_H_
#define ATTUNE_WORKER_SHARDED_OPTIMIZER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "comm/collective.h"
#include "model/weights.h"

namespace attune {

enum class Optimizer { kAdamW, kRmsprop, kSgd };

struct OptimizerOptions {
  Optimizer optimizer = Optimizer::kAdamW;
  double beta1;
  double beta2;
  double epsilon;
  double weight_decay;
  double max_grad_norm;  // 0 = no clipping
  uint32_t zero_stage;   // 1: each rank keeps the state of its slice; 0: of everything
};

// Elements of one rank's slice of a vector of `count`: the n-th part, rounded up.
int64_t SliceSize(int64_t count, int ranks);

// The state of the optimiser of one rank: 8 bytes for each of its parameters with AdamW, 4 with
// RMSprop. Both stages give the same numbers, on any number of threads.
class ShardedOptimizer {
 public:
  ShardedOptimizer(std::vector<TensorSpec> layout, const OptimizerOptions& options,
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
  // Elements [begin, begin + gradient.size()) of the vector, whose state begins at `begin` too.
  void Update(int64_t begin, absl::Span<const double> gradient, float clip, double learning_rate,
              absl::Span<float> parameters);

  const std::vector<TensorSpec> layout_;
  const OptimizerOptions options_;
  const int64_t slice_size_;
  int64_t steps_ = 0;
  std::vector<float> first_moments_;  // of the slice (stage 1) or of everything (stage 0)
  std::vector<float> second_moments_;
};

}  // namespace attune

#endif  // ATTUNE_WORKER_SHARDED_OPTIMIZER_H_
