// A language model is asked which of two responses is better, or how good one is.
#ifndef ATTUNE_ORACLE_LLM_JUDGE_H_
#define ATTUNE_ORACLE_LLM_JUDGE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attune/v1/oracle_spec.pb.h"
#include "oracle/judge_endpoint.h"
#include "rpc/http_client.h"
#include "oracle/judge.h"
#include "oracle/llm_client.h"

namespace attune {

// The template with every place, such as "{prompt}", replaced by its text. The texts are not looked
// at again: a response that contains "{prompt}" stays as it is. So does "{" before anything else.
std::string FillTemplate(absl::string_view prompt_template,
                         absl::Span<const std::pair<absl::string_view, absl::string_view>> places);

// Pairwise: every pair is asked in both orders, the words are A and B; the probability that the
// first is preferred is the mean of P(A) in one order and 1 - P(A) in the other, and the orders
// agree when both prefer the same response (or neither any). Rating: the mean of 1 .. n under the
// probabilities of the n words, from the worst.
//
// A prompt that is a chat of several messages is shown as its messages, each after its role.
//
// `spec` is of kind llm_judge with defaults filled in; `model` answers for it, `model_digest` is of
// what decides its answers. INVALID_ARGUMENT when ratings are empty or the same but for case.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeLlmJudge(
    const v1::OracleSpec& spec, AnswerModel model, const std::string& model_digest);

// The same with the model behind spec.endpoint. INVALID_ARGUMENT when the environment variable that
// is to hold the key is empty or not set. `endpoints` and `http` must outlive the judge.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeChatLlmJudge(
    const v1::OracleSpec& spec, Endpoints& endpoints, HttpClient& http);

// The same with the model in the directory spec.path. Errors also as of ModelCache::Load; and
// INVALID_ARGUMENT when it is a sequence classifier.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeLocalLlmJudge(
    const v1::OracleSpec& spec, ModelCache& models);

}  // namespace attune

#endif  // ATTUNE_ORACLE_LLM_JUDGE_H_
