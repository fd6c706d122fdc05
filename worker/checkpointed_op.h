// Activation checkpointing (Chen et al. 2016): of a part of a model only its input is kept for the
// backward pass, which runs the part again.
#ifndef ATTUNE_WORKER_CHECKPOINTED_OP_H_
#define ATTUNE_WORKER_CHECKPOINTED_OP_H_

#include <functional>

#include <ATen/core/Tensor.h>

namespace attune {

// part(x), and the gradients that it would have, bit for bit where `part` gives the same bits
// again. What it refers to lives until the backward pass is done.
at::Tensor CheckpointedOp(std::function<at::Tensor(const at::Tensor&)> part, const at::Tensor& x);

}  // namespace attune

#endif  // ATTUNE_WORKER_CHECKPOINTED_OP_H_
