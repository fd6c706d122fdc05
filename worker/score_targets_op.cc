#include "worker/score_targets_op.h"

#include <algorithm>
#include <array>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "common/check.h"
#include "model/kernels.h"
#include "worker/pieces.h"
#include "worker/products.h"

namespace attune {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr int64_t kBlock = 512;  // probabilities that exist at a time in a sum over a row

int64_t ChunkRows(int64_t vocab) { return std::max<int64_t>(1, kChunkLogits / vocab); }

// Of the vocabulary at a time, where there are `rows`: whole panels, and not so many that fp32 sums
// over them lose what matters.
int64_t ChunkTokens(int64_t rows) {
  constexpr int64_t kUnit = 8 * PackedMatrix::kPanelWidth;
  constexpr int64_t kMost = 4 * kUnit;
  const int64_t fit = kChunkLogits / std::max<int64_t>(1, rows) / kUnit * kUnit;
  return std::clamp(fit, kUnit, kMost);
}

PackedMatrix PackedHead(const HeadRows& rows) {
  return PackedFactor(rows.head->weight_NK, rows.head->precision);
}

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

// From logits to what the loss is by them; of each target.
struct LogitSlopes {
  float softcap;
  float reference_softcap;
  at::Tensor targets;
  at::Tensor normalisers;
  at::Tensor dlogps;
  at::Tensor reference_normalisers;  // undefined: no reference
  at::Tensor dkl;

  // With p = softmax(logits) and r that of the reference: d logp[target] / d logits =
  // onehot(target) - p, d KL(r || p) / d logits = p - r. Through a softcap c, y = c tanh(z / c):
  // dz = (1 - (y / c)^2) dy. Both logits [T, tokens] are of the tokens from `first` on; the first
  // ones become the slopes.
  void Differentiate(int64_t first, const at::Tensor& reference_logits,
                     const at::Tensor& logits) const {
    ForPieces(logits.size(0), 1, [&](int64_t row, int64_t) {
      const int64_t tokens = logits.size(1);
      float* const values = logits.data_ptr<float>() + row * tokens;
      float* const r =
          reference_logits.defined() ? reference_logits.data_ptr<float>() + row * tokens : nullptr;
      DifferentiateRow(row, tokens, r, targets.data_ptr<int64_t>()[row] - first, values);
    });
  }

 private:
  void DifferentiateRow(int64_t row, int64_t tokens, float* r, int64_t target,
                        float* values) const {
    const float dlogp = dlogps.data_ptr<float>()[row];
    std::vector<float> bends;
    if (softcap > 0) {
      SoftCap(softcap, tokens, values);
      for (int64_t v = 0; v < tokens; ++v) {
        const float ratio = values[v] / softcap;
        bends.push_back(1 - ratio * ratio);
      }
    }
    ScaledExp(values, tokens, normalisers.data_ptr<float>()[row], /*scale=*/1, values);
    if (r != nullptr) {
      const float dkl_row = dkl.data_ptr<float>()[row];
      if (reference_softcap > 0) SoftCap(reference_softcap, tokens, r);
      ScaledExp(r, tokens, reference_normalisers.data_ptr<float>()[row], /*scale=*/1, r);
      // The difference first: where the policy is its reference, the gradient vanishes.
      for (int64_t v = 0; v < tokens; ++v) {
        values[v] = (values[v] - r[v]) * dkl_row - values[v] * dlogp;
      }
    } else {
      Scale(-dlogp, tokens, values);
    }
    if (target >= 0 && target < tokens) values[target] += dlogp;
    for (size_t v = 0; v < bends.size(); ++v) values[v] *= bends[v];
  }
};

// A context holds tensors and numbers only.
int64_t Kept(const LinearParameters* head) { return reinterpret_cast<int64_t>(head); }
const LinearParameters* Restored(const at::IValue& kept) {
  return reinterpret_cast<const LinearParameters*>(kept.toInt());
}

struct ScoreTargets : Function<ScoreTargets> {
  // Log-probabilities, KL divergences if there is a reference, and log sums of squares if asked.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden_TK,
                               const HeadRows& policy, const at::Tensor& targets,
                               const at::Tensor& examples, const HeadRows& reference,
                               bool log_sum_squares) {
    const int64_t count = hidden_TK.size(0);
    const int64_t vocab = policy.head->weight_NK.size(0);
    const auto column = [&](bool wanted) {
      return wanted ? at::empty({count}, hidden_TK.options()) : at::Tensor();
    };
    const bool refers = reference.hidden_TK.defined();
    const at::Tensor normalisers = column(true);
    const at::Tensor reference_normalisers = column(refers);
    const TargetColumns out = {column(true), column(refers), column(log_sum_squares)};
    const PackedMatrix weight = PackedHead(policy);
    const PackedMatrix reference_weight = refers ? PackedHead(reference) : PackedMatrix();
    for (int64_t first = 0; first < count; first += ChunkRows(vocab)) {
      const int64_t rows = std::min(ChunkRows(vocab), count - first);
      const at::Tensor logits = MatMulRows(policy.hidden_TK.narrow(0, first, rows), weight);
      const at::Tensor reference_logits =
          refers ? MatMulRows(reference.hidden_TK.narrow(0, first, rows), reference_weight)
                 : at::Tensor();
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
        {hidden_TK, targets, normalisers, examples, reference.hidden_TK, reference_normalisers});
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

  // Of some tokens of the vocabulary and all rows at a time: logits, what the columns are by them,
  // and what that is by the hidden states and the head.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const HeadRows policy = {saved[0], Restored(data["head"]), data["softcap"].toDouble()};
    const HeadRows reference = {saved[4], Restored(data["reference_head"]),
                                data["reference_softcap"].toDouble()};
    const bool refers = reference.hidden_TK.defined();
    const LinearParameters& head = *policy.head;
    const LogitSlopes slopes = {.softcap = static_cast<float>(policy.softcap),
                                .reference_softcap = static_cast<float>(reference.softcap),
                                .targets = saved[1],
                                .normalisers = saved[2],
                                .dlogps = gradients[0].contiguous(),
                                .reference_normalisers = saved[5],
                                .dkl = refers ? gradients[1].contiguous() : at::Tensor()};
    const int64_t count = policy.hidden_TK.size(0);
    const int64_t vocab = head.weight_NK.size(0);
    const at::Tensor dhidden_TK = at::zeros(policy.hidden_TK.sizes(), at::kDouble);
    for (int64_t first = 0; first < vocab; first += ChunkTokens(count)) {
      const int64_t tokens = std::min(ChunkTokens(count), vocab - first);
      const auto part = [&](const at::Tensor& all) { return all.narrow(0, first, tokens); };
      const auto logits_of = [&](const HeadRows& rows) {
        return MatMulRows(rows.hidden_TK,
                          PackedFactor(part(rows.head->weight_NK), rows.head->precision));
      };
      const at::Tensor logits = logits_of(policy);
      slopes.Differentiate(first, refers ? logits_of(reference) : at::Tensor(), logits);
      AddMatMulRows(logits, PackedFactor(part(head.weight_NK).t(), head.precision), head.precision,
                    dhidden_TK);
      AddOuterProducts(logits, policy.hidden_TK, saved[3], head.precision,
                       part(head.weight_gradient_NK));
    }
    return {dhidden_TK.to(at::kFloat),
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

TargetColumns ScoreTargetsOp(const HeadRows& policy, const at::Tensor& targets,
                             const at::Tensor& examples, const HeadRows& reference,
                             bool log_sum_squares) {
  const bool refers = reference.hidden_TK.defined();
  if (refers) {
    ATTUNE_CHECK(reference.head->weight_NK.size(0) == policy.head->weight_NK.size(0));
    ATTUNE_CHECK(reference.hidden_TK.size(0) == policy.hidden_TK.size(0));
  }
  const variable_list columns =
      ScoreTargets::apply(policy.hidden_TK, policy, targets, examples, reference, log_sum_squares);
  return {columns[0], refers ? columns[1] : at::Tensor(),
          log_sum_squares ? columns.back() : at::Tensor()};
}

}  // namespace attune
