// Every preference loss behind one signature: a pure function of the log-probabilities of a batch
// of responses and of columns that come with them. What a loss needs is declared beside it
// (losses.h), not coded into the trainer; there is no class per method.
//
// A batch is the whole update, never a micro-batch or one rank's part: losses that couple pairs
// (sorting, means, softmax over a group) couple over the update, and any sharding gives the same
// numbers. Notation throughout, as in docs/algorithms.md:
//   lw, ll = logp - logp_ref of the chosen and the rejected response,  h = lw - ll
#ifndef ATTUNE_WORKER_OBJECTIVES_LOSS_H_
#define ATTUNE_WORKER_OBJECTIVES_LOSS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "common/loss_needs.h"

namespace attune {

// n responses, row by row; float64. A column that is not there is an undefined tensor.
struct ResponseColumns {
  at::Tensor logps;            // [n] log pi(y | x), summed over the response's tokens; gradients
  at::Tensor reference_logps;  // [n] the same of the reference policy
  at::Tensor lengths;          // [n] tokens summed, end-of-sequence included
  at::Tensor sequence_kl;      // [n] sum over positions of KL(reference || policy) over the whole
                               //     vocabulary (TDPO); gradients
  at::Tensor self_weighted_logps;  // [n] sum over tokens of sg(log pi - log ref) log pi (Nash-MD);
                                   //     gradients
  at::Tensor rewards;  // [n] of the score head of a reward model, in place of all others; gradients
  at::Tensor other_logps;  // [n] as logps, of the other adapter (OFS-DPO); no gradients
};

// G lists of N responses to one prompt each; float64, [G, N].
struct GroupColumns {
  at::Tensor logps;            // gradients
  at::Tensor reference_logps;  // of the anchor
  at::Tensor lengths;
  at::Tensor scores;     // of the oracle; higher is better
  at::Tensor relevance;  // grade of an item of a list (IRPO, LiPO)
  at::Tensor ranks;      // 1-based position of the item in its list
  at::Tensor anchor_kl;  // sum over tokens of exp(a - s) - (a - s) - 1, a the anchor's and s the
                         // policy's token log-probability (ADPO); gradients
  at::Tensor tau;        // [G] temperature of each list; undefined: LossOptions.anchor_tau
};

struct LossBatch {
  // Pair i is row i of both sides. For unpaired losses `chosen` are the desirable responses and
  // `rejected` the undesirable ones, and their numbers may differ.
  ResponseColumns chosen;
  ResponseColumns rejected;
  GroupColumns groups;

  at::Tensor weights;            // [pairs] of the examples, no gradients (WPO); undefined: 1
  at::Tensor target;             // [pairs] probability that chosen is preferred; undefined: 1
  at::Tensor chosen_win_rate;    // [pairs] expected win rate over the candidates (SPPO)
  at::Tensor rejected_win_rate;  // [pairs]
  at::Tensor win_probability;  // [n] P(y > y') of a policy sample y against its opponent (Nash-MD),
                               //     or of chosen over rejected (sppo_single)
  at::Tensor chosen_margin;    // [pairs] sum over auxiliary objectives of weight * reward (MODPO)
  at::Tensor rejected_margin;  // [pairs]
  at::Tensor score_margin;     // [pairs] by how much chosen is better (reward models); undefined: 0
  ResponseColumns gold;        // the dataset's responses to the same prompts (TPO)
  ResponseColumns mismatched;  // responses scored after another row's prompt (KTO's KL)
  ResponseColumns corrupted;   // the chosen responses given a corrupted condition (Re-Align)
  std::vector<ResponseColumns> views;  // of corrupted conditions and responses (MCM-DPO)
};

// f of f-DPO: log-ratios v become f'(exp(v)).
enum class FDivergence { kReverseKl, kForwardKl, kJensenShannon, kAlpha };

// Weight of an item in IRPO, from its relevance and its rank: (2^relevance - 1) / log2(1 + rank),
// 1 / log2(1 + rank) and (2^relevance - 1) / rank.
enum class ListGain { kDcg, kDiscount, kReciprocalRank };

// Defaults are those of the papers or, where there is none, of TRL.
struct LossOptions {
  double beta = 0.1;
  double label_smoothing = 0;  // probability that a label is flipped
  FDivergence f_divergence = FDivergence::kReverseKl;
  double f_alpha = 0.5;  // alpha of Wang et al. 2023, in (0, 1); TRL's coefficient is 1 - alpha
  double discopop_tau = 0.05;
  double simpo_gamma = 0.5;  // target margin of rewards (not divided by beta)
  double alphapo_alpha = 0;  // 0: SimPO
  double dpop_lambda = 50;
  double length_lambda = 0.01;  // R-DPO, per token
  double desirable_weight = 1;  // KTO
  double undesirable_weight = 1;
  double bco_shift = 0;  // running mean of the rewards, this batch included
  double ddo_alpha = 1;
  double objective_weight = 1;  // MODPO: w_0 of the trained objective
  double tdpo_alpha = 0.5;
  double anchor_tau = 1;           // ADPO: temperature of the anchored logits
  double anchor_kl = 0;            // ADPO: coefficient of GroupColumns.anchor_kl, per token
  double score_temperature = 0.5;  // of the softmax over scores: ADPO's beta_reward, NCA's alpha
  int64_t list_top_k = 0;          // ADPO Plackett-Luce: this many positions; 0: all
  double list_poly = 0;  // ADPO Plackett-Luce: coefficient of 1 - exp(-loss of a position)
  ListGain list_gain = ListGain::kDcg;  // IRPO
  double fast_slow_alpha = 0.1;         // OFS-DPO
  bool slow_adapter = false;            // OFS-DPO: logps are the slow adapter's, not the fast one's
  double xpo_alpha = 1e-5;
  double center_rewards = 0;  // reward models: coefficient of (chosen + rejected)^2
  std::vector<double> view_weights;  // MCM-DPO: one for each of LossBatch.views
  double view_norm = 1;
};

// Losses of the examples (pairs, responses or groups, as the loss has it), float64, to be averaged
// over all examples of the update. Pure; gradients flow to the columns that say so alone.
using LossFunction = at::Tensor (*)(const LossBatch& batch, const LossOptions& options);

// Rewards as they are logged: detached, one per row of each side.
struct Rewards {
  at::Tensor chosen;
  at::Tensor rejected;
};
using RewardFunction = Rewards (*)(const LossBatch& batch, const LossOptions& options);

struct Loss {
  const char* name;  // of loss_type in a job file; TRL's where TRL has it
  LossFunction function;
  LossNeeds needs;
  RewardFunction rewards = nullptr;  // null: beta (logp - logp_ref)
};

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_LOSS_H_
