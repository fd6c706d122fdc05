#include "worker/score_targets_op.h"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "common/check.h"
#include "model/kernels.h"
#include "worker/op_math.h"
#include "worker/pieces.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kBlock = 512;  // probabilities that exist at a time in a sum over a row

int64_t ChunkRows(int64_t vocab) { return std::max<int64_t>(1, kChunkLogits / vocab); }

// One row of logits, softcapped, and their log-sum-exp.
struct LogitsRow {
  float* values;
  float normaliser;
};

LogitsRow RowOf(const HeadRows& head, const at::Tensor& logits, int64_t row) {
  const int64_t vocab = logits.size(1);
  float* const values = logits.data_ptr<float>() + row * vocab;
  if (head.softcap > 0) SoftCap(static_cast<float>(head.softcap), vocab, values);
  return {values, LogSumExp(values, vocab)};
}

// sum_v r(v) (log r(v) - log p(v)), in double precision: the terms cancel.
float KlDivergence(const LogitsRow& r, const LogitsRow& p, int64_t vocab) {
  std::array<float, kBlock> probabilities;
  double sum = 0;
  for (int64_t begin = 0; begin < vocab; begin += kBlock) {
    const int64_t size = std::min(kBlock, vocab - begin);
    ScaledExp(r.values + begin, size, r.normaliser, /*scale=*/1, probabilities.data());
    for (int64_t i = 0; i < size; ++i) {
      const double log_r = static_cast<double>(r.values[begin + i]) - r.normaliser;
      const double log_p = static_cast<double>(p.values[begin + i]) - p.normaliser;
      sum += probabilities[i] * (log_r - log_p);
    }
  }
  return static_cast<float>(sum);
}

// log sum_v p(v)^2; leaves 2 log p(v) in the row.
float LogSumSquares(const LogitsRow& p, int64_t vocab) {
  for (int64_t v = 0; v < vocab; ++v) p.values[v] = 2 * (p.values[v] - p.normaliser);
  return LogSumExp(p.values, vocab);
}

// Softmax of the chunk's logits, computed again, and the slope of the softcap if there is one.
struct Probabilities {
  at::Tensor values;
  at::Tensor slope;
};

Probabilities ProbabilitiesOf(const at::Tensor& hidden, const at::Tensor& weight_VK, double softcap,
                              const at::Tensor& normalisers) {
  Probabilities p = {Product(hidden, weight_VK.t()), at::Tensor()};
  if (softcap > 0) p.slope = CapWithSlope(softcap, p.values);
  p.values.sub_(normalisers.unsqueeze(1)).exp_();
  return p;
}

// A context holds tensors and numbers only.
int64_t Kept(const LinearParameters* head) { return reinterpret_cast<int64_t>(head); }
const LinearParameters* Restored(const at::IValue& kept) {
  return reinterpret_cast<const LinearParameters*>(kept.toInt());
}

// With p = softmax(logits) and r that of the reference: d logp[target] / d logits =
// onehot(target) - p, d KL(r || p) / d logits = p - r. Through a softcap c, y = c tanh(z / c):
// dz = (1 - (y / c)^2) dy.
struct ScoreTargets : Function<ScoreTargets> {
  // Log-probabilities, KL divergences if there is a reference, and log sums of squares if asked.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden_TK,
                               const HeadRows& policy, const at::Tensor& targets,
                               const HeadRows& reference, bool log_sum_squares) {
    const int64_t count = hidden_TK.size(0);
    const int64_t vocab = policy.head->packed.n();
    const auto column = [&](bool wanted) {
      return wanted ? at::empty({count}, hidden_TK.options()) : at::Tensor();
    };
    const bool refers = reference.hidden_TK.defined();
    const at::Tensor normalisers = column(true);
    const at::Tensor reference_normalisers = column(refers);
    const TargetColumns out = {column(true), column(refers), column(log_sum_squares)};
    for (int64_t first = 0; first < count; first += ChunkRows(vocab)) {
      const int64_t rows = std::min(ChunkRows(vocab), count - first);
      const auto logits_of = [&](const HeadRows& head) {
        const at::Tensor logits = NewRows(rows, vocab);
        MatMulRows(head.hidden_TK.narrow(0, first, rows), head.head->packed,
                   logits.data_ptr<float>());
        return logits;
      };
      const at::Tensor logits = logits_of(policy);
      const at::Tensor reference_logits = refers ? logits_of(reference) : at::Tensor();
      ForPieces(rows, 1, [&](int64_t row, int64_t) {
        const int64_t t = first + row;
        const LogitsRow p = RowOf(policy, logits, row);
        normalisers.data_ptr<float>()[t] = p.normaliser;
        out.logps.data_ptr<float>()[t] = p.values[targets.data_ptr<int64_t>()[t]] - p.normaliser;
        if (refers) {
          const LogitsRow r = RowOf(reference, reference_logits, row);
          reference_normalisers.data_ptr<float>()[t] = r.normaliser;
          out.reference_kl.data_ptr<float>()[t] = KlDivergence(r, p, vocab);
        }
        if (log_sum_squares) out.log_sum_squares.data_ptr<float>()[t] = LogSumSquares(p, vocab);
      });
    }
    context->save_for_backward(
        {hidden_TK, targets, normalisers, reference.hidden_TK, reference_normalisers});
    context->saved_data["head"] = Kept(policy.head);
    context->saved_data["softcap"] = policy.softcap;
    context->saved_data["reference_head"] = Kept(reference.head);
    context->saved_data["reference_softcap"] = reference.softcap;
    variable_list columns = {out.logps};
    if (refers) columns.push_back(out.reference_kl);
    if (log_sum_squares) {
      context->mark_non_differentiable({out.log_sum_squares});
      columns.push_back(out.log_sum_squares);
    }
    return columns;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& hidden_TK = saved[0];
    const at::Tensor targets_T1 = saved[1].unsqueeze(1);
    const at::Tensor& reference_hidden_TK = saved[3];
    const LinearParameters& head = *Restored(context->saved_data["head"]);
    const at::Tensor weight_VK = head.Multiplied(head.weight_NK);
    const LinearParameters* reference_head = nullptr;
    at::Tensor reference_weight_VK;
    if (reference_hidden_TK.defined()) {
      reference_head = Restored(context->saved_data["reference_head"]);
      reference_weight_VK = reference_head->Multiplied(reference_head->weight_NK);
    }
    const at::Tensor dlogps_T1 = gradients[0].unsqueeze(1);
    at::Tensor dhidden_TK = at::empty_like(hidden_TK);
    const int64_t step = ChunkRows(weight_VK.size(0));
    for (int64_t first = 0; first < hidden_TK.size(0); first += step) {
      const auto chunk = [&](const at::Tensor& all) {
        return all.narrow(0, first, std::min(step, all.size(0) - first));
      };
      const at::Tensor hidden = head.Multiplied(chunk(hidden_TK));
      const Probabilities p = ProbabilitiesOf(
          hidden, weight_VK, context->saved_data["softcap"].toDouble(), chunk(saved[2]));
      at::Tensor through_kl;
      if (reference_head != nullptr) {
        // The difference first: where the policy is its reference, the gradient vanishes.
        through_kl =
            ProbabilitiesOf(reference_head->Multiplied(chunk(reference_hidden_TK)),
                            reference_weight_VK,
                            context->saved_data["reference_softcap"].toDouble(), chunk(saved[4]))
                .values.sub_(p.values)
                .mul_(-chunk(gradients[1]).unsqueeze(1));
      }
      at::Tensor dlogits = p.values;
      dlogits.mul_(-chunk(dlogps_T1)).scatter_add_(1, chunk(targets_T1), chunk(dlogps_T1));
      if (through_kl.defined()) dlogits.add_(through_kl);
      if (p.slope.defined()) dlogits.mul_(p.slope);
      Multiply(dlogits, weight_VK, /*beta=*/0, chunk(dhidden_TK));
      Multiply(dlogits.t(), hidden, /*beta=*/1, head.weight_gradient_NK);
    }
    return {dhidden_TK, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

TargetColumns ScoreTargetsOp(const HeadRows& policy, const at::Tensor& targets,
                             const HeadRows& reference, bool log_sum_squares) {
  const bool refers = reference.hidden_TK.defined();
  if (refers) {
    ATTUNE_CHECK(reference.head->packed.n() == policy.head->packed.n());
    ATTUNE_CHECK(reference.hidden_TK.size(0) == policy.hidden_TK.size(0));
  }
  const variable_list columns =
      ScoreTargets::apply(policy.hidden_TK, policy, targets, reference, log_sum_squares);
  return {columns[0], refers ? columns[1] : at::Tensor(),
          log_sum_squares ? columns.back() : at::Tensor()};
}

}  // namespace attune
