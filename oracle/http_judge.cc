#include "oracle/http_judge.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using nlohmann::json;

constexpr char kOracle[] = "http/1";

json RewardRequest(const v1::Candidates& item) {
  json request = {{"query", json::array()}, {"prompts", json::array()}, {"labels", json::array()}};
  const json messages = json::parse(item.messages(), nullptr, /*allow_exceptions=*/false);
  for (const std::string& response : item.responses()) {
    request["query"].push_back(item.prompt() + response);
    request["prompts"].push_back(item.prompt());
    request["labels"].push_back(item.gold());
    if (!messages.is_array()) continue;
    json chat = messages;
    chat.push_back({{"role", "assistant"}, {"content", response}});
    request["messages"].push_back(std::move(chat));
  }
  return request;
}

absl::StatusOr<std::vector<double>> ParseRewards(const json& answer, int count) {
  const auto unusable = [&](const auto&... why) {
    return absl::InternalError(
        absl::StrCat("the answer ", why..., ": ",
                     Excerpt(answer.dump(-1, ' ', false, json::error_handler_t::replace))));
  };
  if (!answer.is_object()) return unusable("is not an object with \"rewards\"");
  auto rewards = answer.find("rewards");
  if (rewards == answer.end()) rewards = answer.find("scores");
  if (rewards == answer.end() || !rewards->is_array()) return unusable("has no list \"rewards\"");
  if (rewards->size() != static_cast<size_t>(count)) {
    return unusable("has ", rewards->size(), " rewards for ", count, " responses");
  }
  std::vector<double> scores;
  for (const json& reward : *rewards) {
    if (!reward.is_number() || !std::isfinite(reward.get<double>())) {
      return unusable("has a reward that is not a finite number");
    }
    scores.push_back(reward.get<double>());
  }
  return scores;
}

class HttpJudge : public Judge {
 public:
  HttpJudge(const v1::OracleSpec& spec, std::shared_ptr<Endpoint> endpoint, HttpClient& http)
      : Judge(kOracle, Sha256Hex(absl::StrCat(kOracle, "\n", spec.endpoint()))),
        calls_(spec.calls()),
        endpoint_(std::move(endpoint)),
        http_(http) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    const JsonPost post{.url = endpoint_->address(),
                        .body = RewardRequest(item),
                        .timeout = absl::Seconds(calls_.timeout_seconds())};
    Verdict verdict;
    ATTUNE_RETURN_IF_ERROR(endpoint_->Call(calls_, item.prompt_index(), [&]() -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(const json answer, http_.Post(post));
      ATTUNE_ASSIGN_OR_RETURN(verdict.scores, ParseRewards(answer, item.responses_size()));
      return absl::OkStatus();
    }));
    return verdict;
  }

 private:
  const v1::CallSpec calls_;
  const std::shared_ptr<Endpoint> endpoint_;
  HttpClient& http_;
};

}  // namespace

std::shared_ptr<const Judge> MakeHttpJudge(const v1::OracleSpec& spec, Endpoints& endpoints,
                                           HttpClient& http) {
  std::shared_ptr<JudgeEndpoint> endpoint = endpoints.Find(kOracle, spec.endpoint());
  return endpoint->Cached(spec.calls(), std::make_shared<HttpJudge>(spec, endpoint, http));
}

}  // namespace attune
