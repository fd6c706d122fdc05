#include "model/generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "common/status_macros.h"

namespace attune {
namespace {

// Rows of one forward pass: enough to keep the multipliers busy, few enough that their logits and
// activations stay small. Results do not depend on it.
constexpr size_t kForwardRowsMax = 256;

absl::Status CheckIds(const Policy& policy, absl::Span<const int32_t> ids, const char* what) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < policy.config().vocab_size) continue;
    return absl::InvalidArgumentError(absl::StrCat("token ", i, " of the ", what, " is ", ids[i],
                                                   "; the vocabulary has ids 0 to ",
                                                   policy.config().vocab_size - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckLength(const Policy& policy, size_t prompt_tokens, size_t completion_tokens) {
  const int64_t limit = policy.config().max_position_embeddings;
  if (prompt_tokens == 0) return absl::InvalidArgumentError("the prompt has no tokens");
  if (static_cast<int64_t>(prompt_tokens + completion_tokens) <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a prompt of ", prompt_tokens, " tokens and ", completion_tokens,
                   completion_tokens == 1 ? " more" : " tokens of completion",
                   " exceed the model's max_position_embeddings, ", limit));
}

absl::Status NotFinite(const Policy& policy) {
  return absl::FailedPreconditionError(
      absl::StrCat("the logits of policy ", policy.digest().substr(0, 12),
                   " are not finite numbers; its weights are damaged or its training diverged"));
}

// Runs `rows` in chunks and gives `take` the logits of each row that wants them, in order:
// take(index of the row, logits) -> absl::Status.
template <typename Take>
absl::Status ForwardRows(const Policy& policy, absl::Span<const PolicyRow> rows, const Take& take) {
  const int64_t vocab = policy.config().vocab_size;
  for (size_t begin = 0; begin < rows.size(); begin += kForwardRowsMax) {
    const auto chunk = rows.subspan(begin, kForwardRowsMax);
    const std::vector<float> logits = policy.Forward(chunk);
    const float* next = logits.data();
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (!chunk[i].wants_logits) continue;
      ATTUNE_RETURN_IF_ERROR(take(begin + i, absl::Span<const float>(next, vocab)));
      next += vocab;
    }
  }
  return absl::OkStatus();
}

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

  // Draws all further tokens.
  absl::Status Finish();

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
  return ForwardRows(policy_, rows, [&](size_t row, absl::Span<const float> logits) {
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
  if (!std::isfinite(draw.logp)) return NotFinite(policy_);
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

absl::Status Decoder::Finish() {
  while (!active_.empty()) {
    std::vector<PolicyRow> rows;
    for (Sequence& sequence : active_) {
      const std::vector<int32_t>& drawn = sequence.generation->token_ids;
      const int64_t position = sequence.prompt_tokens + drawn.size() - 1;
      rows.push_back({&sequence.cache, position, drawn.back(), true});
    }
    std::vector<bool> goes_on(active_.size());
    ATTUNE_RETURN_IF_ERROR(
        ForwardRows(policy_, rows, [&](size_t i, absl::Span<const float> logits) -> absl::Status {
          ATTUNE_ASSIGN_OR_RETURN(goes_on[i], Extend(&active_[i], logits));
          return absl::OkStatus();
        }));
    size_t kept = 0;
    for (size_t i = 0; i < active_.size(); ++i) {
      if (!goes_on[i]) continue;
      if (kept != i) active_[kept] = std::move(active_[i]);
      ++kept;
    }
    active_.erase(active_.begin() + kept, active_.end());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPrompt(const Policy& policy, absl::Span<const int32_t> prompt_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckLength(policy, prompt_ids.size(), 1));
  return CheckIds(policy, prompt_ids, "prompt");
}

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
  ATTUNE_RETURN_IF_ERROR(decoder.Finish());
  return results;
}

absl::StatusOr<std::vector<float>> CompletionLogProbs(const Policy& policy,
                                                      absl::Span<const int32_t> prompt_ids,
                                                      absl::Span<const int32_t> completion_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckLength(policy, prompt_ids.size(), completion_ids.size()));
  ATTUNE_RETURN_IF_ERROR(CheckIds(policy, prompt_ids, "prompt"));
  ATTUNE_RETURN_IF_ERROR(CheckIds(policy, completion_ids, "completion"));
  std::vector<float> logps;
  if (completion_ids.empty()) return logps;
  KvCache cache;
  std::vector<PolicyRow> rows;
  const size_t first = prompt_ids.size() - 1;  // the row whose logits are of completion token 0
  for (size_t i = 0; i < first + completion_ids.size(); ++i) {
    const int32_t token = i <= first ? prompt_ids[i] : completion_ids[i - first - 1];
    rows.push_back({&cache, static_cast<int64_t>(i), token, i >= first});
  }
  ATTUNE_RETURN_IF_ERROR(ForwardRows(policy, rows, [&](size_t i, absl::Span<const float> logits) {
    logps.push_back(logits[completion_ids[i - first]] - LogSumExp(logits.data(), logits.size()));
    return std::isfinite(logps.back()) ? absl::OkStatus() : NotFinite(policy);
  }));
  return logps;
}

}  // namespace attune
