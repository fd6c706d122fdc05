#include "worker/objectives/sequence_columns.h"

#include <vector>

#include <ATen/ATen.h>

#include "common/check.h"
#include "common/rng.h"
#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

// The tokens of each response, as indices into the flat tensors.
std::vector<std::vector<int64_t>> TokensBySequence(const TokenSequences& tokens) {
  std::vector<std::vector<int64_t>> result(tokens.count);
  const at::Tensor sequences = tokens.sequences.contiguous();
  const int64_t* sequence = sequences.data_ptr<int64_t>();
  for (int64_t t = 0; t < sequences.numel(); ++t) {
    ATTUNE_CHECK(sequence[t] >= 0 && sequence[t] < tokens.count);
    result[sequence[t]].push_back(t);
  }
  return result;
}

at::Tensor Weighted(const at::Tensor& values, const at::Tensor& weights) {
  return weights.defined() ? values * weights : values;
}

}  // namespace

at::Tensor SumBySequence(const at::Tensor& values, const TokenSequences& tokens) {
  ATTUNE_CHECK(values.sizes() == tokens.sequences.sizes());
  return at::zeros({tokens.count}, at::kDouble)
      .index_add(0, tokens.sequences, values.to(at::kDouble));
}

at::Tensor SequenceLengths(const TokenSequences& tokens) {
  return at::bincount(tokens.sequences, {}, tokens.count).to(at::kDouble);
}

at::Tensor LdDpoTokenWeights(const TokenSequences& tokens, const at::Tensor& shared, double alpha) {
  at::Tensor weights = at::ones(tokens.sequences.sizes(), at::kDouble);
  double* weight = weights.data_ptr<double>();
  const auto by_sequence = TokensBySequence(tokens);
  for (int64_t s = 0; s < tokens.count; ++s) {
    const size_t kept = shared[s].item<int64_t>();
    for (size_t i = kept; i < by_sequence[s].size(); ++i) weight[by_sequence[s][i]] = alpha;
  }
  return weights;
}

at::Tensor SampoTokenWeights(const TokenSequences& tokens, const at::Tensor& shared, uint64_t seed,
                             absl::Span<const uint64_t> keys) {
  ATTUNE_CHECK(static_cast<int64_t>(keys.size()) == tokens.count);
  at::Tensor weights = at::zeros(tokens.sequences.sizes(), at::kDouble);
  double* weight = weights.data_ptr<double>();
  const auto by_sequence = TokensBySequence(tokens);
  for (int64_t s = 0; s < tokens.count; ++s) {
    const size_t kept = shared[s].item<int64_t>();
    ATTUNE_CHECK(kept <= by_sequence[s].size());
    const auto order = Permutation(CounterRng({seed, keys[s]}), by_sequence[s].size());
    for (size_t i = 0; i < kept; ++i) weight[by_sequence[s][order[i]]] = 1;
  }
  return weights;
}

ResponseColumns ColumnsOf(const TokenLogps& logps, const TokenSequences& tokens,
                          const at::Tensor& weights, bool weigh_reference) {
  ResponseColumns columns;
  columns.lengths = SequenceLengths(tokens);
  columns.logps = SumBySequence(Weighted(logps.policy, weights), tokens);
  if (logps.reference.defined()) {
    columns.reference_logps = SumBySequence(
        weigh_reference ? Weighted(logps.reference, weights) : logps.reference, tokens);
    const at::Tensor policy = logps.policy.to(at::kDouble);
    const at::Tensor log_ratios = (policy - logps.reference).detach();
    columns.self_weighted_logps = SumBySequence(log_ratios * policy, tokens);
  }
  if (logps.reference_kl.defined()) {
    columns.sequence_kl = SumBySequence(logps.reference_kl, tokens);
  }
  return columns;
}

ResponseColumns SelectRows(const ResponseColumns& columns, const at::Tensor& rows) {
  const auto select = [&](const at::Tensor& column) {
    return column.defined() ? column.index_select(0, rows) : column;
  };
  return {select(columns.logps), select(columns.reference_logps), select(columns.lengths),
          select(columns.sequence_kl), select(columns.self_weighted_logps),
          select(columns.rewards), select(columns.other_logps)};
}

at::Tensor AnchorKl(const at::Tensor& policy, const at::Tensor& anchor,
                    const TokenSequences& tokens) {
  const at::Tensor d = anchor.to(at::kDouble) - policy.to(at::kDouble);
  return SumBySequence(ClampedExp(d) - d - 1, tokens);
}

at::Tensor WpoLogWeights(const at::Tensor& policy, const at::Tensor& log_sum_squares,
                         const TokenSequences& tokens) {
  const at::Tensor excess = policy.detach().to(at::kDouble) - log_sum_squares.detach();
  return SumBySequence(excess, tokens) / at::clamp_min(SequenceLengths(tokens), 1);
}

at::Tensor WpoWeights(const at::Tensor& chosen, const at::Tensor& rejected, bool clamp) {
  const at::Tensor weights = at::exp(chosen + rejected);
  return clamp ? at::clamp_max(weights, 1) : weights;
}

VocabularyColumns VocabularyColumnsOf(const at::Tensor& logits, const at::Tensor& targets,
                                      const at::Tensor& reference_logits) {
  VocabularyColumns columns;
  const at::Tensor log_probs = at::log_softmax(logits.to(at::kDouble), -1);
  columns.logps = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1);
  const at::Tensor fixed = log_probs.detach();
  columns.log_sum_squares = at::logsumexp(2 * fixed, -1);
  columns.entropy = -(fixed.exp() * fixed).sum(-1);
  if (reference_logits.defined()) {
    const at::Tensor reference = at::log_softmax(reference_logits.detach().to(at::kDouble), -1);
    columns.reference_kl = (reference.exp() * (reference - log_probs)).sum(-1);
  }
  return columns;
}

}  // namespace attune
