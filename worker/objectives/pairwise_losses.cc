#include "worker/objectives/pairwise_losses.h"

#include <cmath>
#include <tuple>

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

at::Tensor ChosenScores(const LossBatch& batch, const LossOptions& options) {
  return DivergenceScores(LogRatios(batch.chosen), options);
}

at::Tensor RejectedScores(const LossBatch& batch, const LossOptions& options) {
  return DivergenceScores(LogRatios(batch.rejected), options);
}

// d
at::Tensor ScoreGap(const LossBatch& batch, const LossOptions& options) {
  return ChosenScores(batch, options) - RejectedScores(batch, options);
}

at::Tensor ScoreGapPerToken(const LossBatch& batch, const LossOptions& options) {
  return ChosenScores(batch, options) / batch.chosen.lengths -
         RejectedScores(batch, options) / batch.rejected.lengths;
}

// h
at::Tensor LogRatioGap(const LossBatch& batch) {
  return LogRatios(batch.chosen) - LogRatios(batch.rejected);
}

at::Tensor SppoRegression(const LossBatch& batch, const LossOptions& options,
                          const at::Tensor& chosen_win_rate, const at::Tensor& rejected_win_rate) {
  const at::Tensor chosen = LogRatios(batch.chosen) - (chosen_win_rate - 0.5) / options.beta;
  const at::Tensor rejected = LogRatios(batch.rejected) - (rejected_win_rate - 0.5) / options.beta;
  return 0.5 * (at::square(chosen) + at::square(rejected));
}

}  // namespace

at::Tensor SigmoidLoss(const LossBatch& batch, const LossOptions& options) {
  return LogisticLoss(options.beta * ScoreGap(batch, options), SmoothedTarget(batch, options));
}

at::Tensor DnoLoss(const LossBatch& batch, const LossOptions& options) {
  LossOptions as_is = options;
  as_is.label_smoothing = 0;
  return SigmoidLoss(batch, as_is);
}

at::Tensor SigmoidNormLoss(const LossBatch& batch, const LossOptions& options) {
  return LogisticLoss(options.beta * ScoreGapPerToken(batch, options),
                      SmoothedTarget(batch, options));
}

at::Tensor HingeLoss(const LossBatch& batch, const LossOptions& options) {
  return at::relu(1 - options.beta * ScoreGap(batch, options));
}

at::Tensor IpoLoss(const LossBatch& batch, const LossOptions& options) {
  return at::square(ScoreGapPerToken(batch, options) - 0.5 / options.beta);
}

at::Tensor IpoSumLoss(const LossBatch& batch, const LossOptions& options) {
  return at::square(ScoreGap(batch, options) - 0.5 / options.beta);
}

at::Tensor RobustLoss(const LossBatch& batch, const LossOptions& options) {
  const double eps = options.label_smoothing;
  ATTUNE_CHECK(eps < 0.5);
  const at::Tensor z = options.beta * ScoreGap(batch, options);
  return (eps * at::log_sigmoid(-z) - (1 - eps) * at::log_sigmoid(z)) / (1 - 2 * eps);
}

at::Tensor ExoPairLoss(const LossBatch& batch, const LossOptions& options) {
  const double eps = options.label_smoothing;
  ATTUNE_CHECK(eps > 0 && eps < 1);
  const at::Tensor z = options.beta * ScoreGap(batch, options);
  return at::sigmoid(z) * (at::log_sigmoid(z) - std::log1p(-eps)) +
         at::sigmoid(-z) * (at::log_sigmoid(-z) - std::log(eps));
}

at::Tensor NcaPairLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = options.beta * ChosenScores(batch, options);
  const at::Tensor rejected = options.beta * RejectedScores(batch, options);
  return -at::log_sigmoid(chosen) - 0.5 * (at::log_sigmoid(-chosen) + at::log_sigmoid(-rejected));
}

at::Tensor BcoPairLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = options.beta * ChosenScores(batch, options) - options.bco_shift;
  const at::Tensor rejected = options.beta * RejectedScores(batch, options) - options.bco_shift;
  return -at::log_sigmoid(chosen) - at::log_sigmoid(-rejected);
}

at::Tensor SppoHardLoss(const LossBatch& batch, const LossOptions& options) {
  return at::square(ChosenScores(batch, options) - 0.5 / options.beta) +
         at::square(RejectedScores(batch, options) + 0.5 / options.beta);
}

at::Tensor SppoLoss(const LossBatch& batch, const LossOptions& options) {
  return SppoRegression(batch, options, batch.chosen_win_rate, batch.rejected_win_rate);
}

at::Tensor SppoSingleLoss(const LossBatch& batch, const LossOptions& options) {
  return SppoRegression(batch, options, batch.win_probability, 1 - batch.win_probability);
}

at::Tensor AotLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor policy = batch.chosen.logps - batch.rejected.logps;
  const at::Tensor reference = batch.chosen.reference_logps - batch.rejected.reference_logps;
  // To the pair of the k-th smallest policy log-ratio, the k-th smallest of the reference.
  const at::Tensor matched = at::empty_like(reference).scatter_(0, at::argsort(policy.detach()),
                                                                std::get<0>(at::sort(reference)));
  return LogisticLoss(options.beta * (policy - matched),
                      at::scalar_tensor(1 - options.label_smoothing, at::kDouble));
}

at::Tensor ApoZeroLoss(const LossBatch& batch, const LossOptions& options) {
  return at::sigmoid(-options.beta * LogRatios(batch.chosen)) +
         at::sigmoid(options.beta * LogRatios(batch.rejected));
}

at::Tensor ApoDownLoss(const LossBatch& batch, const LossOptions& options) {
  return at::sigmoid(options.beta * LogRatios(batch.chosen)) +
         at::sigmoid(-options.beta * LogRatioGap(batch));
}

at::Tensor DiscopopLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor x = options.beta * ScoreGap(batch, options);
  const at::Tensor scaled = x / options.discopop_tau;
  // m exp(-x) in one exponential: where exp(-x) would overflow, m is far smaller.
  return -at::sigmoid(-scaled) * at::log_sigmoid(x) + ClampedExp(at::log_sigmoid(scaled) - x);
}

at::Tensor DpopLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor penalty = at::relu(-LogRatios(batch.chosen));
  return -at::log_sigmoid(options.beta * (LogRatioGap(batch) - options.dpop_lambda * penalty));
}

at::Tensor RDpoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor lengths = batch.chosen.lengths - batch.rejected.lengths;
  return -at::log_sigmoid(options.beta * LogRatioGap(batch) + options.length_lambda * lengths);
}

at::Tensor XpoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor z = options.beta * LogRatioGap(batch);
  return LogisticLoss(z, SmoothedTarget(batch, options)) + options.xpo_alpha * batch.rejected.logps;
}

at::Tensor XpoIpoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor h = LogRatioGap(batch);
  const at::Tensor y = SmoothedTarget(batch, options);
  const double margin = 0.5 / options.beta;
  return y * at::square(h - margin) + (1 - y) * at::square(h + margin) +
         options.xpo_alpha * batch.rejected.logps;
}

at::Tensor Tdpo1Loss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor kl = batch.rejected.sequence_kl - batch.chosen.sequence_kl;
  return -at::log_sigmoid(options.beta * (LogRatioGap(batch) - kl));
}

at::Tensor Tdpo2Loss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor kl = batch.rejected.sequence_kl - batch.chosen.sequence_kl.detach();
  return -at::log_sigmoid(options.beta * (LogRatioGap(batch) - options.tdpo_alpha * kl));
}

Rewards TdpoRewards(const LossBatch& batch, const LossOptions& options) {
  const auto rewards = [&](const ResponseColumns& side) {
    return (options.beta * (LogRatios(side) + side.sequence_kl)).detach();
  };
  return {rewards(batch.chosen), rewards(batch.rejected)};
}

}  // namespace attune
