#include "oracle/model_judges.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "model/scorer.h"

namespace attune {
namespace {

using ModelPtr = std::shared_ptr<const LoadedModel>;
using Ids = std::vector<int32_t>;

Ids Joined(const Ids& a, const Ids& b) {
  Ids joined = a;
  joined.insert(joined.end(), b.begin(), b.end());
  return joined;
}

// `answer` is empty where only the response is looked at.
absl::Status CheckFits(const LoadedModel& model, const Ids& prompt, const Ids& response,
                       const Ids& answer = {}) {
  const size_t context = static_cast<size_t>(model.policy->config().max_position_embeddings);
  if (prompt.empty()) return absl::InvalidArgumentError("the prompt has no tokens");
  if (prompt.size() + response.size() + answer.size() <= context) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the prompt of ", prompt.size(), " tokens, the response of ", response.size(),
                   answer.empty() ? "" : absl::StrCat(" and the answer of ", answer.size()),
                   " exceed max_position_embeddings of the oracle's model, ", context,
                   "; lower sampling.max_new_tokens, or use a model that takes more"));
}

// A model for a kind that needs a language model.
absl::StatusOr<ModelPtr> LoadLanguageModel(const char* field, const std::string& directory,
                                           ModelCache& models) {
  absl::StatusOr<ModelPtr> model = models.Load(directory);
  if (!model.ok()) return Annotate(model.status(), absl::StrCat("oracle.", field));
  if ((*model)->policy->config().num_labels == 0) return model;
  return absl::InvalidArgumentError(absl::StrCat(
      "oracle.", field, " ", directory, " is a sequence classification model (num_labels ",
      (*model)->policy->config().num_labels, "); this kind of oracle needs a language model"));
}

class RewardModelJudge : public ScoringJudge {
 public:
  explicit RewardModelJudge(ModelPtr model)
      : ScoringJudge("reward_model/1", model->digest), model_(std::move(model)) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    ATTUNE_ASSIGN_OR_RETURN(const EncodedPrompt prompt,
                            EncodePrompt(*model_, item.prompt(), item.messages()));
    const Ids response = EncodeResponse(*model_, prompt, item.responses(index), /*ended=*/true);
    ATTUNE_RETURN_IF_ERROR(CheckFits(*model_, prompt.ids, response));
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> scores,
                            ClassificationScores(*model_->policy, Joined(prompt.ids, response)));
    return scores[0];
  }

 private:
  const ModelPtr model_;
};

class ImplicitRewardJudge : public ScoringJudge {
 public:
  ImplicitRewardJudge(ModelPtr model, ModelPtr reference, double beta)
      : ScoringJudge("implicit_reward/1",
                     Sha256Hex(absl::StrCat(model->digest, " ", reference->digest, " ",
                                            absl::Hex(std::bit_cast<uint64_t>(beta))))),
        model_(std::move(model)),
        reference_(std::move(reference)),
        beta_(beta) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    ATTUNE_ASSIGN_OR_RETURN(const EncodedPrompt prompt,
                            EncodePrompt(*model_, item.prompt(), item.messages()));
    const Ids response = EncodeResponse(*model_, prompt, item.responses(index), /*ended=*/true);
    ATTUNE_ASSIGN_OR_RETURN(const double logp, LogProb(*model_, prompt.ids, response));
    ATTUNE_ASSIGN_OR_RETURN(const double reference, LogProb(*reference_, prompt.ids, response));
    return beta_ * (logp - reference);
  }

 private:
  static absl::StatusOr<double> LogProb(const LoadedModel& model, const Ids& prompt,
                                        const Ids& response) {
    ATTUNE_RETURN_IF_ERROR(CheckFits(model, prompt, response));
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> logps,
                            CompletionLogProbs(*model.policy, prompt, response));
    return std::accumulate(logps.begin(), logps.end(), 0.0);
  }

  const ModelPtr model_;
  const ModelPtr reference_;
  const double beta_;
};

class R3Judge : public Judge {
 public:
  explicit R3Judge(ModelPtr model) : Judge("r3/1", model->digest), model_(std::move(model)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    if (item.gold().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt ", item.prompt_index(),
                       " has no answer for responses to reason towards; give the dataset an "
                       "\"answer\" or \"gold\" on every line"));
    }
    ATTUNE_ASSIGN_OR_RETURN(const EncodedPrompt prompt,
                            EncodePrompt(*model_, item.prompt(), item.messages()));
    const Ids answer = EncodeResponse(*model_, prompt, item.gold(), /*ended=*/false);
    if (answer.empty()) return absl::InvalidArgumentError("the gold answer has no tokens");
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> masked, LogProbs(prompt.ids, {}, answer));
    std::vector<std::vector<float>> logps;
    for (int i = 0; i < item.responses_size(); ++i) {
      const Ids response = EncodeResponse(*model_, prompt, item.responses(i), /*ended=*/false);
      absl::StatusOr<std::vector<float>> row = LogProbs(prompt.ids, response, answer);
      if (!row.ok()) return Annotate(row.status(), absl::StrCat("scoring response ", i));
      logps.push_back(*std::move(row));
    }
    Verdict verdict;
    verdict.scores = ReflectionScores(logps, masked);
    return verdict;
  }

 private:
  absl::StatusOr<std::vector<float>> LogProbs(const Ids& prompt, const Ids& response,
                                              const Ids& answer) const {
    ATTUNE_RETURN_IF_ERROR(CheckFits(*model_, prompt, response, answer));
    return CompletionLogProbs(*model_->policy, Joined(prompt, response), answer);
  }

  const ModelPtr model_;
};

double FromFirst(const std::vector<std::vector<float>>& rows, const std::vector<float>& row,
                 size_t j) {
  return static_cast<double>(row[j]) - rows[0][j];
}

// sigma_j / sum of sigma over the tokens, or 1 / N.
std::vector<double> ReflectionWeights(const std::vector<std::vector<float>>& logps, size_t tokens) {
  std::vector<double> weights(tokens);
  const double count = static_cast<double>(logps.size());
  for (size_t j = 0; j < tokens; ++j) {
    // From the first row on, so that rows that are alike have a deviation of exactly zero.
    double mean = 0, variance = 0;
    for (const std::vector<float>& row : logps) mean += FromFirst(logps, row, j) / count;
    for (const std::vector<float>& row : logps) {
      const double deviation = FromFirst(logps, row, j) - mean;
      variance += deviation * deviation / count;
    }
    weights[j] = std::sqrt(variance);
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight = sum > 0 ? weight / sum : 1 / static_cast<double>(tokens);
  return weights;
}

}  // namespace

std::vector<double> ReflectionScores(const std::vector<std::vector<float>>& logps,
                                     absl::Span<const float> masked) {
  const std::vector<double> weights = ReflectionWeights(logps, masked.size());
  std::vector<double> scores;
  for (const std::vector<float>& row : logps) {
    double score = 0;
    for (size_t j = 0; j < masked.size(); ++j) {
      score += weights[j] * (static_cast<double>(row[j]) - masked[j]);
    }
    scores.push_back(score);
  }
  return scores;
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeRewardModelJudge(const v1::OracleSpec& spec,
                                                                  ModelCache& models) {
  absl::StatusOr<ModelPtr> model = models.Load(spec.path());
  if (!model.ok()) return Annotate(model.status(), "oracle.path");
  const int64_t labels = (*model)->policy->config().num_labels;
  if (labels == 1) return std::make_shared<const RewardModelJudge>(*std::move(model));
  return absl::InvalidArgumentError(
      absl::StrCat("oracle.path ", spec.path(),
                   labels == 0 ? " is a language model without a score head"
                               : absl::StrCat(" has num_labels ", labels),
                   "; a reward model is a *ForSequenceClassification directory with num_labels 1"));
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeImplicitRewardJudge(const v1::OracleSpec& spec,
                                                                     ModelCache& models) {
  ATTUNE_ASSIGN_OR_RETURN(ModelPtr model, LoadLanguageModel("path", spec.path(), models));
  ATTUNE_ASSIGN_OR_RETURN(ModelPtr reference,
                          LoadLanguageModel("reference_path", spec.reference_path(), models));
  const int64_t ids = model->policy->config().vocab_size;
  const int64_t reference_ids = reference->policy->config().vocab_size;
  if (ids != reference_ids) {
    return absl::InvalidArgumentError(absl::StrCat(
        "oracle.reference_path ", spec.reference_path(), " has a vocabulary of ", reference_ids,
        " but oracle.path ", spec.path(), " one of ", ids,
        "; the reference must take the tokens of the model, such as the one it was trained from"));
  }
  return std::make_shared<const ImplicitRewardJudge>(std::move(model), std::move(reference),
                                                     spec.beta());
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeR3Judge(const v1::OracleSpec& spec,
                                                         ModelCache& models) {
  ATTUNE_ASSIGN_OR_RETURN(ModelPtr model, LoadLanguageModel("path", spec.path(), models));
  return std::make_shared<const R3Judge>(std::move(model));
}

}  // namespace attune
