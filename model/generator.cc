#include "model/generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/chunked_forward.h"
#include "model/scorer.h"

namespace attune {
namespace {

// One response in the making.
struct Sequence {
  CounterRng rng;
  KvCache cache;
  int64_t prompt_tokens;
  Generation* generation;
};

class Decoder {
 public:
  Decoder(const Policy& policy, const SamplingOptions& options)
      : policy_(policy), options_(options), sampler_(options) {}

  // Runs the prompts and draws the first token of each of their samples into `results`.
  absl::Status Start(absl::Span<const GenerationRequest> requests,
                     std::vector<std::vector<Generation>>* results);

  bool done() const { return active_.empty(); }
  // Draws the next token of every response that has not ended.
  absl::Status Step();

 private:
  absl::Status StartSamples(const GenerationRequest& request, absl::Span<const float> logits,
                            KvCache cache, std::vector<Generation>* generations);
  // Appends a token; false when the response has ended with it.
  absl::StatusOr<bool> Extend(Sequence* sequence, absl::Span<const float> logits);

  const Policy& policy_;
  const SamplingOptions options_;
  Sampler sampler_;
  std::vector<Sequence> active_;
};

absl::Status Decoder::Start(absl::Span<const GenerationRequest> requests,
                            std::vector<std::vector<Generation>>* results) {
  std::vector<KvCache> caches(requests.size());
  std::vector<PolicyRow> rows;
  std::vector<size_t> request_of_row;
  for (size_t r = 0; r < requests.size(); ++r) {
    const std::vector<int32_t>& ids = requests[r].prompt_ids;
    for (size_t i = 0; i < ids.size(); ++i) {
      rows.push_back({&caches[r], static_cast<int64_t>(i), ids[i], i + 1 == ids.size()});
      request_of_row.push_back(r);
    }
  }
  return ForwardInChunks(policy_, rows, [&](size_t row, absl::Span<const float> logits) {
    const size_t r = request_of_row[row];
    return StartSamples(requests[r], logits, std::move(caches[r]), &(*results)[r]);
  });
}

absl::Status Decoder::StartSamples(const GenerationRequest& request, absl::Span<const float> logits,
                                   KvCache cache, std::vector<Generation>* generations) {
  generations->resize(request.sample_keys.size());
  for (size_t i = 0; i < request.sample_keys.size(); ++i) {
    Sequence sequence{CounterRng(request.sample_keys[i]), KvCache(),
                      static_cast<int64_t>(request.prompt_ids.size()), &(*generations)[i]};
    ATTUNE_ASSIGN_OR_RETURN(const bool goes_on, Extend(&sequence, logits));
    if (!goes_on) continue;
    sequence.cache = cache;
    active_.push_back(std::move(sequence));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Decoder::Extend(Sequence* sequence, absl::Span<const float> logits) {
  Generation* generation = sequence->generation;
  const int64_t drawn = generation->token_ids.size();
  const Draw draw = sampler_.Next(logits, sequence->rng.Uniform(drawn));
  if (!std::isfinite(draw.logp)) return NotFiniteError();
  generation->token_ids.push_back(draw.token);
  generation->logps.push_back(draw.logp);
  generation->sampling_logps.push_back(draw.sampling_logp);
  const std::vector<int32_t>& eos = policy_.config().eos_token_ids;
  if (std::find(eos.begin(), eos.end(), draw.token) != eos.end()) {
    generation->stop_reason = StopReason::kEndOfSequence;
    return false;
  }
  generation->stop_reason = StopReason::kLength;
  return drawn + 1 < options_.max_new_tokens &&
         sequence->prompt_tokens + drawn + 1 < policy_.config().max_position_embeddings;
}

absl::Status Decoder::Step() {
  std::vector<PolicyRow> rows;
  for (Sequence& sequence : active_) {
    const std::vector<int32_t>& drawn = sequence.generation->token_ids;
    const int64_t position = sequence.prompt_tokens + drawn.size() - 1;
    rows.push_back({&sequence.cache, position, drawn.back(), true});
  }
  std::vector<bool> goes_on(active_.size());
  const auto extend = [&](size_t i, absl::Span<const float> logits) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(goes_on[i], Extend(&active_[i], logits));
    return absl::OkStatus();
  };
  ATTUNE_RETURN_IF_ERROR(ForwardInChunks(policy_, rows, extend));
  size_t kept = 0;
  for (size_t i = 0; i < active_.size(); ++i) {
    if (!goes_on[i]) continue;
    if (kept != i) active_[kept] = std::move(active_[i]);
    ++kept;
  }
  active_.erase(active_.begin() + kept, active_.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::vector<Generation>>> Generate(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Status status = CheckPrompt(policy, requests[i].prompt_ids);
    if (!status.ok()) return Annotate(status, absl::StrCat("cannot answer prompt ", i));
  }
  std::vector<std::vector<Generation>> results(requests.size());
  Decoder decoder(policy, options);
  ATTUNE_RETURN_IF_ERROR(decoder.Start(requests, &results));
  while (!decoder.done()) ATTUNE_RETURN_IF_ERROR(decoder.Step());
  return results;
}

absl::StatusOr<Generation> GenerateOne(const Policy& policy, absl::Span<const int32_t> prompt_ids,
                                       uint64_t sample_key, const SamplingOptions& options,
                                       absl::FunctionRef<void(int32_t)> take) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  ATTUNE_RETURN_IF_ERROR(CheckPrompt(policy, prompt_ids));
  const GenerationRequest request = {{prompt_ids.begin(), prompt_ids.end()}, {sample_key}};
  std::vector<std::vector<Generation>> results(1);
  Decoder decoder(policy, options);
  ATTUNE_RETURN_IF_ERROR(decoder.Start({request}, &results));
  take(results[0][0].token_ids.back());
  while (!decoder.done()) {
    ATTUNE_RETURN_IF_ERROR(decoder.Step());
    take(results[0][0].token_ids.back());
  }
  return std::move(results[0][0]);
}

}  // namespace attune
