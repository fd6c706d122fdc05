#include "oracle/tool_players.h"

#include <memory>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/generator.h"
#include "model/scorer.h"

namespace attune {
namespace {

double Sum(const std::vector<float>& logps) {
  return std::accumulate(logps.begin(), logps.end(), 0.0);
}

absl::StatusOr<std::vector<GenerationRequest>> Requests(const LoadedModel& model,
                                                        absl::Span<const v1::Prompt> prompts,
                                                        uint64_t seed) {
  std::vector<GenerationRequest> requests;
  for (const v1::Prompt& prompt : prompts) {
    absl::StatusOr<EncodedPrompt> encoded = EncodePrompt(model, prompt.text(), prompt.messages());
    absl::Status status = encoded.status();
    if (status.ok()) status = CheckPrompt(*model.policy, encoded->ids);
    if (!status.ok())
      return Annotate(status, absl::StrCat("cannot answer prompt ", prompt.index()));
    constexpr uint64_t kSample = 0;
    requests.push_back({.prompt_ids = std::move(encoded->ids),
                        .sample_keys = {CounterRng({seed, prompt.index(), kSample}).key()}});
  }
  return requests;
}

// Fills log_ratio where the first model takes the same tokens.
void AddLogRatios(const LoadedModel& first, const LoadedModel& model,
                  absl::Span<const v1::Prompt> prompts,
                  absl::Span<const GenerationRequest> requests,
                  absl::Span<const std::vector<Generation>> generations,
                  std::vector<PlayerAnswer>* answers) {
  if (first.policy->config().vocab_size != model.policy->config().vocab_size) return;
  RunInThreads(prompts.size(), ProcessorCount(), [&](size_t i) {
    const auto encoded = EncodePrompt(first, prompts[i].text(), prompts[i].messages());
    if (!encoded.ok() || encoded->ids != requests[i].prompt_ids) return;
    const auto logps =
        CompletionLogProbs(*first.policy, requests[i].prompt_ids, generations[i][0].token_ids);
    if (logps.ok()) (*answers)[i].log_ratio = (*answers)[i].logp - Sum(*logps);
  });
}

absl::StatusOr<std::vector<PlayerAnswer>> Answer(const LoadedModel& first, const LoadedModel& model,
                                                 absl::Span<const v1::Prompt> prompts,
                                                 const SamplingOptions& sampling, uint64_t seed) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<GenerationRequest> requests,
                          Requests(model, prompts, seed));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<Generation>> generations,
                          Generate(*model.policy, requests, sampling, ProcessorCount()));
  std::vector<PlayerAnswer> answers;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Generation& generation = generations[i][0];
    answers.push_back({DecodeCompletion(*model.tokenizer, requests[i].prompt_ids,
                                        generation.token_ids, model.policy->config().eos_token_ids),
                       static_cast<uint32_t>(generation.token_ids.size()), Sum(generation.logps),
                       std::nullopt});
  }
  AddLogRatios(first, model, prompts, requests, generations, &answers);
  return answers;
}

}  // namespace

absl::StatusOr<std::vector<Player>> ParsePlayers(absl::Span<const std::string> arguments) {
  std::vector<Player> players;
  std::set<std::string> names;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    Player& player = players.emplace_back();
    player.directory = equals == std::string::npos ? argument : argument.substr(equals + 1);
    player.name =
        equals == std::string::npos ? BaseName(AbsolutePath(argument)) : argument.substr(0, equals);
    if (player.name.empty() || player.directory.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model ", argument, " must be NAME=DIR or DIR"));
    }
    if (!names.insert(player.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("--model ", argument, ": another model is \"",
                                                     player.name,
                                                     "\" too; give each a NAME=DIR of its own"));
    }
  }
  return players;
}

absl::StatusOr<std::vector<std::vector<PlayerAnswer>>> AnswerAll(
    absl::Span<const Player> players, absl::Span<const v1::Prompt> prompts,
    const SamplingOptions& sampling, uint64_t seed, ModelCache* models) {
  std::vector<std::vector<PlayerAnswer>> all;
  std::shared_ptr<const LoadedModel> first;
  for (const Player& player : players) {
    ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const LoadedModel> model,
                            models->Load(player.directory));
    if (first == nullptr) first = model;
    auto answers = Answer(*first, *model, prompts, sampling, seed);
    if (!answers.ok()) {
      return Annotate(answers.status(), absl::StrCat("model ", player.name));
    }
    all.push_back(*std::move(answers));
  }
  return all;
}

}  // namespace attune
