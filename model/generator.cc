#include "model/generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/chunked_forward.h"
#include "model/kernels.h"
#include "model/scorer.h"

namespace attune {
namespace {

// A second policy with a say in every draw.
struct Mixture {
  const Policy& other;
  double other_weight;
};

// Keys and values of one sequence under both policies.
struct Caches {
  KvCache policy;
  KvCache other;  // unused without a mixture
};

// One response in the making.
struct Sequence {
  CounterRng rng;
  Caches caches;
  absl::Span<const int32_t> prompt_ids;
  Generation* generation;
};

// What the policies say of the next token.
struct Logits {
  absl::Span<const float> policy;
  absl::Span<const float> other;  // empty without a mixture
};

class Decoder {
 public:
  // `mixture` may be null: tokens are then drawn from the policy alone.
  Decoder(const Policy& policy, const Mixture* mixture, const SamplingOptions& options)
      : policy_(policy), mixture_(mixture), options_(options) {}

  // Runs the prompts and draws the first token of each of their samples into `results`. The
  // requests must outlive the decoder.
  absl::Status Start(absl::Span<const GenerationRequest> requests,
                     std::vector<std::vector<Generation>>* results);

  bool done() const { return active_.empty(); }
  // Draws the next token of every response that has not ended.
  absl::Status Step();

 private:
  // A PolicyRow with the caches of its sequence.
  struct Row {
    Caches* caches;
    int64_t position;
    int32_t token;
    bool wants_logits;
  };
  // ForwardInChunks through both policies.
  absl::Status Forward(absl::Span<const Row> rows,
                       absl::FunctionRef<absl::Status(size_t row, const Logits& logits)> take);
  absl::Status StartSamples(const GenerationRequest& request, const Logits& logits, Caches caches,
                            std::vector<Generation>* generations);
  // Appends a token; false when the response has ended with it.
  absl::StatusOr<bool> Extend(Sequence* sequence, const Logits& logits);
  // As Sampler::Next, from the mixture if there is one; logp is the policy's.
  Draw DrawNext(const Logits& logits, double u, const SamplingContext& context);

  const Policy& policy_;
  const Mixture* const mixture_;
  const SamplingOptions options_;
  Sampler sampler_;
  std::vector<Sequence> active_;
  std::vector<float> mixed_;  // logits of one draw
};

absl::Status Decoder::Start(absl::Span<const GenerationRequest> requests,
                            std::vector<std::vector<Generation>>* results) {
  std::vector<Caches> caches(requests.size());
  std::vector<Row> rows;
  std::vector<size_t> request_of_row;
  for (size_t r = 0; r < requests.size(); ++r) {
    const std::vector<int32_t>& ids = requests[r].prompt_ids;
    for (size_t i = 0; i < ids.size(); ++i) {
      rows.push_back({&caches[r], static_cast<int64_t>(i), ids[i], i + 1 == ids.size()});
      request_of_row.push_back(r);
    }
  }
  return Forward(rows, [&](size_t row, const Logits& logits) {
    const size_t r = request_of_row[row];
    return StartSamples(requests[r], logits, std::move(caches[r]), &(*results)[r]);
  });
}

absl::Status Decoder::Forward(
    absl::Span<const Row> rows,
    absl::FunctionRef<absl::Status(size_t row, const Logits& logits)> take) {
  const auto rows_of = [&](KvCache Caches::*cache) {
    std::vector<PolicyRow> result;
    result.reserve(rows.size());
    for (const Row& row : rows) {
      result.push_back({&(row.caches->*cache), row.position, row.token, row.wants_logits});
    }
    return result;
  };
  std::vector<float> others;  // [rows that want logits, vocabulary]
  if (mixture_ != nullptr) {
    ATTUNE_RETURN_IF_ERROR(ForwardInChunks(
        mixture_->other, rows_of(&Caches::other), [&](size_t, absl::Span<const float> logits) {
          others.insert(others.end(), logits.begin(), logits.end());
          return absl::OkStatus();
        }));
  }
  absl::Span<const float> rest = others;
  return ForwardInChunks(
      policy_, rows_of(&Caches::policy), [&](size_t row, absl::Span<const float> logits) {
        const absl::Span<const float> other = rest.first(mixture_ == nullptr ? 0 : logits.size());
        rest.remove_prefix(other.size());
        return take(row, {logits, other});
      });
}

absl::Status Decoder::StartSamples(const GenerationRequest& request, const Logits& logits,
                                   Caches caches, std::vector<Generation>* generations) {
  generations->resize(request.sample_keys.size());
  for (size_t i = 0; i < request.sample_keys.size(); ++i) {
    Sequence sequence{CounterRng(request.sample_keys[i]), Caches(), request.prompt_ids,
                      &(*generations)[i]};
    ATTUNE_ASSIGN_OR_RETURN(const bool goes_on, Extend(&sequence, logits));
    if (!goes_on) continue;
    sequence.caches = caches;
    active_.push_back(std::move(sequence));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Decoder::Extend(Sequence* sequence, const Logits& logits) {
  Generation* generation = sequence->generation;
  const int64_t drawn = generation->token_ids.size();
  const std::vector<int32_t>& eos = policy_.config().eos_token_ids;
  const Draw draw = DrawNext(logits, sequence->rng.Uniform(drawn),
                             {sequence->prompt_ids, generation->token_ids, eos});
  if (!std::isfinite(draw.logp)) return NotFiniteError();
  generation->token_ids.push_back(draw.token);
  generation->logps.push_back(draw.logp);
  generation->sampling_logps.push_back(draw.sampling_logp);
  if (std::find(eos.begin(), eos.end(), draw.token) != eos.end()) {
    generation->stop_reason = StopReason::kEndOfSequence;
    return false;
  }
  generation->stop_reason = StopReason::kLength;
  return drawn + 1 < options_.max_new_tokens &&
         static_cast<int64_t>(sequence->prompt_ids.size()) + drawn + 1 <
             policy_.config().max_position_embeddings;
}

Draw Decoder::DrawNext(const Logits& logits, double u, const SamplingContext& context) {
  if (mixture_ == nullptr) return sampler_.Next(logits.policy, u, options_, context);
  // Normalising the logits of either policy first would only shift the sum. In double, so that a
  // mixture of equal logits is them to the bit.
  const double weight = mixture_->other_weight;
  mixed_.resize(logits.policy.size());
  for (size_t i = 0; i < mixed_.size(); ++i) {
    mixed_[i] = static_cast<float>(weight * logits.other[i] + (1 - weight) * logits.policy[i]);
  }
  Draw draw = sampler_.Next(mixed_, u, options_, context);
  if (!std::isfinite(draw.logp)) return draw;
  draw.logp = logits.policy[draw.token] - LogSumExp(logits.policy.data(), logits.policy.size());
  return draw;
}

absl::Status Decoder::Step() {
  std::vector<Row> rows;
  for (Sequence& sequence : active_) {
    const std::vector<int32_t>& drawn = sequence.generation->token_ids;
    const int64_t position = sequence.prompt_ids.size() + drawn.size() - 1;
    rows.push_back({&sequence.caches, position, drawn.back(), true});
  }
  std::vector<bool> goes_on(active_.size());
  const auto extend = [&](size_t i, const Logits& logits) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(goes_on[i], Extend(&active_[i], logits));
    return absl::OkStatus();
  };
  ATTUNE_RETURN_IF_ERROR(Forward(rows, extend));
  size_t kept = 0;
  for (size_t i = 0; i < active_.size(); ++i) {
    if (!goes_on[i]) continue;
    if (kept != i) active_[kept] = std::move(active_[i]);
    ++kept;
  }
  active_.erase(active_.begin() + kept, active_.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<Generation>>> DecodeAll(
    const Policy& policy, const Mixture* mixture, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Status status = CheckPrompt(policy, requests[i].prompt_ids);
    if (!status.ok()) return Annotate(status, absl::StrCat("cannot answer prompt ", i));
  }
  std::vector<std::vector<Generation>> results(requests.size());
  Decoder decoder(policy, mixture, options);
  ATTUNE_RETURN_IF_ERROR(decoder.Start(requests, &results));
  while (!decoder.done()) ATTUNE_RETURN_IF_ERROR(decoder.Step());
  return results;
}

absl::Status CheckSame(const char* name, int64_t policy, int64_t other) {
  if (policy == other) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot sample from a mixture of policies whose ",
                                                 name, " is ", policy, " and ", other,
                                                 "; they must be of one architecture"));
}

}  // namespace

absl::StatusOr<std::vector<std::vector<Generation>>> Generate(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options) {
  return DecodeAll(policy, /*mixture=*/nullptr, requests, options);
}

absl::StatusOr<std::vector<std::vector<Generation>>> GenerateMixture(
    const Policy& policy, const Policy& other, double other_weight,
    absl::Span<const GenerationRequest> requests, const SamplingOptions& options) {
  if (!(other_weight >= 0 && other_weight <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("the weight of a policy in a mixture is ",
                                                   other_weight, "; it must be within 0-1"));
  }
  const ModelConfig& config = policy.config();
  ATTUNE_RETURN_IF_ERROR(CheckSame("vocab_size", config.outputs(), other.config().outputs()));
  ATTUNE_RETURN_IF_ERROR(CheckSame("max_position_embeddings", config.max_position_embeddings,
                                   other.config().max_position_embeddings));
  const Mixture mixture = {other, other_weight};
  return DecodeAll(policy, &mixture, requests, options);
}

absl::StatusOr<Generation> GenerateOne(const Policy& policy, absl::Span<const int32_t> prompt_ids,
                                       uint64_t sample_key, const SamplingOptions& options,
                                       absl::FunctionRef<void(int32_t)> take) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  ATTUNE_RETURN_IF_ERROR(CheckPrompt(policy, prompt_ids));
  const GenerationRequest request = {{prompt_ids.begin(), prompt_ids.end()}, {sample_key}};
  std::vector<std::vector<Generation>> results(1);
  Decoder decoder(policy, /*mixture=*/nullptr, options);
  ATTUNE_RETURN_IF_ERROR(decoder.Start(absl::MakeConstSpan(&request, 1), &results));
  take(results[0][0].token_ids.back());
  while (!decoder.done()) {
    ATTUNE_RETURN_IF_ERROR(decoder.Step());
    take(results[0][0].token_ids.back());
  }
  return std::move(results[0][0]);
}

}  // namespace attune
