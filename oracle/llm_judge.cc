#include "oracle/llm_judge.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/process.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using nlohmann::json;
using Place = std::pair<absl::string_view, absl::string_view>;

constexpr char kOracle[] = "llm_judge/1";

constexpr absl::string_view kPairwiseTemplate =
    "Below are a prompt and two responses to it. Decide which response is better: more helpful, "
    "more correct and better written. Their order and their length do not matter.\n\n"
    "### Prompt\n{prompt}\n\n"
    "### Response A\n{response_a}\n\n"
    "### Response B\n{response_b}\n\n"
    "Which response is better? Answer with one letter, A or B.\nAnswer:";

constexpr absl::string_view kRatingTemplate =
    "Below are a prompt and a response to it. Say how good the response is: how helpful, how "
    "correct and how well written.\n\n"
    "### Prompt\n{prompt}\n\n"
    "### Response\n{response}\n\n"
    "How good is the response? Answer with one of these words: {ratings}.\nAnswer:";

// The probabilities of words of which one is the answer.
std::vector<double> Normalised(std::vector<double> logps) {
  const double largest = *std::max_element(logps.begin(), logps.end());
  double sum = 0;
  for (double& value : logps) sum += value = std::exp(value - largest);
  for (double& value : logps) value /= sum;
  return logps;
}

// The prompt as a judge sees it.
std::string PromptText(const v1::Candidates& item) {
  const json messages = json::parse(item.messages(), nullptr, /*allow_exceptions=*/false);
  if (!messages.is_array() || messages.size() < 2) return item.prompt();
  std::vector<std::string> lines;
  for (const json& message : messages) {
    if (!message.is_object()) return item.prompt();
    const auto role = message.find("role"), content = message.find("content");
    if (role == message.end() || content == message.end()) return item.prompt();
    if (!role->is_string() || !content->is_string()) return item.prompt();
    lines.push_back(absl::StrCat(role->get<std::string>(), ": ", content->get<std::string>()));
  }
  return absl::StrJoin(lines, "\n\n");
}

std::string JudgeDigest(const v1::LlmJudgeSpec& spec, absl::string_view prompt_template,
                        const std::string& model_digest) {
  Sha256 sha;
  sha.UpdateField(kOracle);
  sha.UpdateField(model_digest);
  sha.UpdateField(prompt_template);
  sha.UpdateField(absl::StrCat(spec.mode()));
  for (const std::string& rating : spec.ratings()) sha.UpdateField(rating);
  return sha.HexDigest();
}

class PairwiseJudge : public Judge {
 public:
  PairwiseJudge(std::string prompt_template, std::string digest, AnswerModel model)
      : Judge(kOracle, std::move(digest)),
        template_(std::move(prompt_template)),
        model_(std::move(model)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    const std::string prompt = PromptText(item);
    const int n = item.responses_size();
    std::vector<double> preferences(static_cast<size_t>(n) * n, 0.5);
    uint32_t agreed = 0;
    for (int i = 0; i < n; ++i) {
      for (int j = i + 1; j < n; ++j) {
        ATTUNE_ASSIGN_OR_RETURN(const double first, ProbabilityOfA(item, prompt, i, j));
        ATTUNE_ASSIGN_OR_RETURN(const double swapped, ProbabilityOfA(item, prompt, j, i));
        preferences[i * n + j] = (first + (1 - swapped)) / 2;
        preferences[j * n + i] = 1 - preferences[i * n + j];
        if (Sign(first - 0.5) == Sign(0.5 - swapped)) ++agreed;
      }
    }
    Verdict verdict = VerdictOfPreferences(std::move(preferences), static_cast<size_t>(n));
    verdict.swaps = static_cast<uint32_t>(n * (n - 1) / 2);
    verdict.swaps_agreed = agreed;
    return verdict;
  }

 private:
  static int Sign(double x) { return (x > 0) - (x < 0); }

  // With response `a` in the place of A.
  absl::StatusOr<double> ProbabilityOfA(const v1::Candidates& item, const std::string& prompt,
                                        int a, int b) const {
    static const auto& words = *new std::vector<std::string>{"A", "B"};
    const auto logps = model_(FillTemplate(template_, {{"{prompt}", prompt},
                                                       {"{gold}", item.gold()},
                                                       {"{response_a}", item.responses(a)},
                                                       {"{response_b}", item.responses(b)}}),
                              words);
    if (!logps.ok()) {
      return Annotate(logps.status(), absl::StrCat("comparing responses ", a, " and ", b));
    }
    return Normalised(*logps)[0];
  }

  const std::string template_;
  const AnswerModel model_;
};

class RatingJudge : public ScoringJudge {
 public:
  RatingJudge(std::string prompt_template, std::vector<std::string> ratings, std::string digest,
              AnswerModel model)
      : ScoringJudge(kOracle, std::move(digest)),
        template_(std::move(prompt_template)),
        ratings_(std::move(ratings)),
        model_(std::move(model)) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    const std::string prompt = PromptText(item), ratings = absl::StrJoin(ratings_, ", ");
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> logps,
                            model_(FillTemplate(template_, {{"{prompt}", prompt},
                                                            {"{gold}", item.gold()},
                                                            {"{response}", item.responses(index)},
                                                            {"{ratings}", ratings}}),
                                   ratings_));
    const std::vector<double> probabilities = Normalised(logps);
    double mean = 0;
    for (size_t k = 0; k < probabilities.size(); ++k) {
      mean += static_cast<double>(k + 1) * probabilities[k];
    }
    return mean;
  }

 private:
  const std::string template_;
  const std::vector<std::string> ratings_;
  const AnswerModel model_;
};

absl::Status CheckRatings(const std::vector<std::string>& ratings) {
  std::set<std::string> seen;
  for (const std::string& rating : ratings) {
    const std::string word = absl::AsciiStrToLower(absl::StripAsciiWhitespace(rating));
    if (!word.empty() && word.size() == rating.size() && seen.insert(word).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("oracle.llm_judge.ratings has \"", rating,
                     "\"; the words must differ by more than case, and have no space around them"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string FillTemplate(absl::string_view prompt_template, absl::Span<const Place> places) {
  std::string text;
  while (!prompt_template.empty()) {
    const size_t plain = std::min(prompt_template.find('{'), prompt_template.size());
    absl::StrAppend(&text, prompt_template.substr(0, plain));
    prompt_template.remove_prefix(plain);
    const auto place = std::find_if(places.begin(), places.end(), [&](const Place& candidate) {
      return absl::StartsWith(prompt_template, candidate.first);
    });
    if (place != places.end()) {
      absl::StrAppend(&text, place->second);
      prompt_template.remove_prefix(place->first.size());
    } else if (!prompt_template.empty()) {
      text.push_back('{');
      prompt_template.remove_prefix(1);
    }
  }
  return text;
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeLlmJudge(const v1::OracleSpec& spec,
                                                          AnswerModel model,
                                                          const std::string& model_digest) {
  const v1::LlmJudgeSpec& llm = spec.llm_judge();
  const bool rating = llm.mode() == v1::LLM_JUDGE_MODE_RATING;
  std::string prompt_template = llm.prompt_template();
  if (prompt_template.empty()) {
    prompt_template = std::string(rating ? kRatingTemplate : kPairwiseTemplate);
  }
  std::string digest = JudgeDigest(llm, prompt_template, model_digest);
  if (!rating) {
    return std::make_shared<PairwiseJudge>(std::move(prompt_template), std::move(digest),
                                           std::move(model));
  }
  std::vector<std::string> ratings(llm.ratings().begin(), llm.ratings().end());
  ATTUNE_RETURN_IF_ERROR(CheckRatings(ratings));
  return std::make_shared<RatingJudge>(std::move(prompt_template), std::move(ratings),
                                       std::move(digest), std::move(model));
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeChatLlmJudge(const v1::OracleSpec& spec,
                                                              Endpoints& endpoints,
                                                              HttpClient& http) {
  const std::string& variable = spec.llm_judge().api_key_variable();
  // A key that was read from a file often has the end of a line.
  const std::string key(
      absl::StripAsciiWhitespace(variable.empty() ? "" : Environment(variable.c_str(), "")));
  if (!variable.empty() && key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("oracle.llm_judge.api_key_variable: the oracle process has no environment "
                     "variable ",
                     variable));
  }
  std::shared_ptr<JudgeEndpoint> endpoint = endpoints.Find(kOracle, spec.endpoint());
  const std::string& model = spec.llm_judge().model();
  ATTUNE_ASSIGN_OR_RETURN(
      std::shared_ptr<const Judge> judge,
      MakeLlmJudge(spec, MakeChatClient(spec.calls(), model, key, endpoint, http),
                   Sha256Hex(absl::StrCat(spec.endpoint(), "\n", model))));
  return endpoint->Cached(spec.calls(), std::move(judge));
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeLocalLlmJudge(const v1::OracleSpec& spec,
                                                               ModelCache& models) {
  absl::StatusOr<std::shared_ptr<const LoadedModel>> model = models.Load(spec.path());
  if (!model.ok()) return Annotate(model.status(), "oracle.path");
  if ((*model)->policy->config().num_labels > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("oracle.path ", spec.path(),
                     " is a sequence classification model; kind "
                     "llm_judge needs one that writes text (kind reward_model takes this one)"));
  }
  return MakeLlmJudge(spec, MakeLocalClient(*model), (*model)->digest);
}

}  // namespace attune
