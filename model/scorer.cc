#include "model/scorer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/chunked_forward.h"

namespace attune {
namespace {

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

absl::Status CheckLanguageModel(const Policy& policy) {
  if (policy.config().num_labels == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the model is a sequence classifier (it has a score head and no vocabulary head); it gives "
      "rewards, not text");
}

absl::Status CheckCompletion(const Policy& policy, absl::Span<const int32_t> prompt_ids,
                             absl::Span<const int32_t> completion_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckLanguageModel(policy));
  ATTUNE_RETURN_IF_ERROR(CheckLength(policy, prompt_ids.size(), completion_ids.size()));
  ATTUNE_RETURN_IF_ERROR(CheckIds(policy, prompt_ids, "prompt"));
  return CheckIds(policy, completion_ids, "completion");
}

// The rows of a prompt and its completion without the last token, which predicts nothing. From row
// prompt_ids.size() - 1 on they are wanted: each predicts a token of the completion.
std::vector<PolicyRow> CompletionRows(absl::Span<const int32_t> prompt_ids,
                                      absl::Span<const int32_t> completion_ids, KvCache* cache) {
  std::vector<PolicyRow> rows;
  if (completion_ids.empty()) return rows;
  const size_t first = prompt_ids.size() - 1;
  for (size_t i = 0; i < first + completion_ids.size(); ++i) {
    const int32_t token = i <= first ? prompt_ids[i] : completion_ids[i - first - 1];
    rows.push_back({cache, static_cast<int64_t>(i), token, i >= first});
  }
  return rows;
}

// `count` is at least 1.
std::vector<TokenLogProb> Likeliest(absl::Span<const float> logits, int64_t count) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto last = ids.begin() + std::min<int64_t>(count, ids.size());
  std::partial_sort(ids.begin(), last, ids.end(), [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  const float normaliser = LogSumExp(logits.data(), logits.size());
  std::vector<TokenLogProb> top;
  for (auto id = ids.begin(); id != last; ++id) top.push_back({*id, logits[*id] - normaliser});
  return top;
}

}  // namespace

absl::Status NotFiniteError() {
  return absl::FailedPreconditionError(
      "the model's logits are not finite numbers; its weights are damaged or its training "
      "diverged");
}

absl::Status CheckPrompt(const Policy& policy, absl::Span<const int32_t> prompt_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckLanguageModel(policy));
  ATTUNE_RETURN_IF_ERROR(CheckLength(policy, prompt_ids.size(), 1));
  return CheckIds(policy, prompt_ids, "prompt");
}

absl::StatusOr<std::vector<float>> CompletionLogProbs(const Policy& policy,
                                                      absl::Span<const int32_t> prompt_ids,
                                                      absl::Span<const int32_t> completion_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckCompletion(policy, prompt_ids, completion_ids));
  std::vector<float> logps;
  KvCache cache;
  const size_t first = prompt_ids.size() - 1;  // the row whose logits are of completion token 0
  ATTUNE_RETURN_IF_ERROR(
      ForwardInChunks(policy, CompletionRows(prompt_ids, completion_ids, &cache),
                      [&](size_t i, absl::Span<const float> logits) {
                        const float normaliser = LogSumExp(logits.data(), logits.size());
                        logps.push_back(logits[completion_ids[i - first]] - normaliser);
                        return std::isfinite(logps.back()) ? absl::OkStatus() : NotFiniteError();
                      }));
  return logps;
}

absl::StatusOr<std::vector<double>> SummedLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const std::vector<int32_t>> completions) {
  std::vector<double> sums(completions.size(), 0.0);
  for (const std::vector<int32_t>& completion : completions) {
    ATTUNE_RETURN_IF_ERROR(CheckCompletion(policy, prompt_ids, completion));
  }
  const auto add = [&](size_t k, int32_t token, absl::Span<const float> logits) {
    sums[k] += logits[token] - LogSumExp(logits.data(), logits.size());
    return std::isfinite(sums[k]) ? absl::OkStatus() : NotFiniteError();
  };
  KvCache cache;
  ATTUNE_RETURN_IF_ERROR(ForwardInChunks(
      policy, CompletionRows(prompt_ids, /*completion_ids=*/{0}, &cache),
      [&](size_t, absl::Span<const float> logits) {
        for (size_t k = 0; k < completions.size(); ++k) {
          ATTUNE_RETURN_IF_ERROR(add(k, completions[k].front(), logits));
        }
        return absl::OkStatus();
      }));
  for (size_t k = 0; k < completions.size(); ++k) {
    KvCache continued = cache;
    std::vector<PolicyRow> rows;
    for (size_t i = 0; i + 1 < completions[k].size(); ++i) {
      rows.push_back({&continued, static_cast<int64_t>(prompt_ids.size() + i), completions[k][i],
                      /*wants_logits=*/true});
    }
    ATTUNE_RETURN_IF_ERROR(
        ForwardInChunks(policy, rows, [&](size_t i, absl::Span<const float> logits) {
          return add(k, completions[k][i + 1], logits);
        }));
  }
  return sums;
}

absl::StatusOr<std::vector<std::vector<TokenLogProb>>> TopLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const int32_t> completion_ids, int64_t count) {
  ATTUNE_RETURN_IF_ERROR(CheckCompletion(policy, prompt_ids, completion_ids));
  std::vector<std::vector<TokenLogProb>> tops;
  KvCache cache;
  ATTUNE_RETURN_IF_ERROR(ForwardInChunks(
      policy, CompletionRows(prompt_ids, completion_ids, &cache),
      [&](size_t, absl::Span<const float> logits) {
        tops.push_back(Likeliest(logits, count));
        return std::isfinite(tops.back().front().logp) ? absl::OkStatus() : NotFiniteError();
      }));
  return tops;
}

absl::StatusOr<std::vector<float>> CompletionHiddenSum(const Policy& policy,
                                                       absl::Span<const int32_t> prompt_ids,
                                                       absl::Span<const int32_t> completion_ids) {
  ATTUNE_RETURN_IF_ERROR(CheckCompletion(policy, prompt_ids, completion_ids));
  KvCache cache;
  const std::vector<PolicyRow> rows = CompletionRows(prompt_ids, completion_ids, &cache);
  std::vector<double> sum(policy.config().hidden_size);
  for (size_t begin = 0; begin < rows.size(); begin += kForwardRowsMax) {
    const std::vector<float> states =
        policy.Forward(absl::MakeConstSpan(rows).subspan(begin, kForwardRowsMax));
    for (size_t i = 0; i < states.size(); ++i) sum[i % sum.size()] += states[i];
  }
  for (const double value : sum) {
    if (!std::isfinite(value)) return NotFiniteError();
  }
  return std::vector<float>(sum.begin(), sum.end());
}

absl::StatusOr<std::vector<float>> ClassificationScores(const Policy& policy,
                                                        absl::Span<const int32_t> ids) {
  if (policy.config().num_labels == 0) {
    return absl::InvalidArgumentError(
        "the model has no score head; a reward model is a *ForSequenceClassification directory");
  }
  ATTUNE_RETURN_IF_ERROR(CheckLength(policy, ids.size(), 0));
  ATTUNE_RETURN_IF_ERROR(CheckIds(policy, ids, "text"));
  while (ids.size() > 1 && ids.back() == policy.config().pad_token_id) ids.remove_suffix(1);
  KvCache cache;
  std::vector<PolicyRow> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.push_back({&cache, static_cast<int64_t>(i), ids[i], i + 1 == ids.size()});
  }
  std::vector<float> scores;
  ATTUNE_RETURN_IF_ERROR(
      ForwardInChunks(policy, rows, [&](size_t, absl::Span<const float> outputs) {
        scores.assign(outputs.begin(), outputs.end());
        return absl::OkStatus();
      }));
  for (const float score : scores) {
    if (!std::isfinite(score)) return NotFiniteError();
  }
  return scores;
}

}  // namespace attune
