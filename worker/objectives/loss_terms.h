// What several losses share: pure functions of columns, float64.
#ifndef ATTUNE_WORKER_OBJECTIVES_LOSS_TERMS_H_
#define ATTUNE_WORKER_OBJECTIVES_LOSS_TERMS_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// logp - logp_ref of each response.
at::Tensor LogRatios(const ResponseColumns& responses);

// Mean log-probability of a token of each response.
at::Tensor MeanLogps(const ResponseColumns& responses);

// exp(min(x, 80)): what stays finite in the float32 gradients of the parameters. The gradient is
// zero beyond.
at::Tensor ClampedExp(const at::Tensor& x);

// f'(exp(v)) of the log-ratios v without its constant (f-DPO, Wang et al. 2023), increasing in v:
//   reverse KL v,  forward KL -exp(-v),  Jensen-Shannon log sigmoid(v),  alpha -exp(-alpha v) /
//   alpha
at::Tensor DivergenceScores(const at::Tensor& log_ratios, const LossOptions& options);

// y, the probability that chosen is preferred: the targets t with labels flipped at the rate
// eps = label_smoothing, y = t (1 - eps) + (1 - t) eps. One number, as a tensor, without targets.
at::Tensor SmoothedTarget(const LossBatch& batch, const LossOptions& options);

// Cross-entropy of sigmoid(z) against y: -y log sigmoid(z) - (1 - y) log sigmoid(-z).
at::Tensor LogisticLoss(const at::Tensor& z, const at::Tensor& y);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_LOSS_TERMS_H_
