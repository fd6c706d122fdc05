#include "serve/completion.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/scorer.h"
#include "model/tokenizer/stop_texts.h"
#include "model/tokenizer/stream_decoder.h"

namespace attune {

// Touched by one thread at a time: that of Start until it is submitted, then the engine's.
struct Completion::Choice {
  Choice(int64_t index, const Tokenizer* tokenizer, const std::vector<int32_t>& prompt_ids,
         const std::vector<std::string>& stops)
      : previous(prompt_ids.empty() ? 0 : prompt_ids.back()), text(tokenizer, prompt_ids, stops) {
    delta.index = index;
    delta.is_first = true;
  }

  size_t seen = 0;   // tokens of the response that were looked at
  int32_t previous;  // the last of them
  StopTexts text;
  // For logprobs, where tokens begin: nothing is held back for stop texts.
  std::optional<StreamDecoder> whole_text;
  int64_t characters = 0;  // of it
  ChoiceDelta delta;       // what has not been sent
};

namespace {

int64_t CharacterCount(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

bool IsEndOfSequence(const ServedModel& model, int32_t id) {
  const std::vector<int32_t>& ends = model.policy->config().eos_token_ids;
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

}  // namespace

Completion::Completion(const ServedModel& model, EngineThread& engine, const ApiRequest& request)
    : model_(model),
      engine_(engine),
      request_(request),
      in_pieces_(request.stream && request.top_logprobs == 0) {}

absl::StatusOr<std::unique_ptr<Completion>> Completion::Start(const ServedModel& model,
                                                              EngineThread& engine,
                                                              const ApiRequest& request,
                                                              uint64_t seed) {
  std::unique_ptr<Completion> completion(new Completion(model, engine, request));
  ATTUNE_ASSIGN_OR_RETURN(completion->prompts_, EncodePrompts(model, request));
  ATTUNE_RETURN_IF_ERROR(completion->SubmitAll(seed));
  return completion;
}

Completion::~Completion() {
  {
    absl::MutexLock lock(&mu_);
    if (unfinished_ == 0) return;  // Cancel would wait for the engine's next step
  }
  engine_.Cancel(engine_ids_);
}

absl::Status Completion::SubmitAll(uint64_t seed) {
  {
    absl::MutexLock lock(&mu_);
    unfinished_ = static_cast<int64_t>(prompts_.size()) * request_.n;
  }
  for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    const std::vector<int32_t>& ids = prompts_[prompt];
    // A response ends with the model's context, as with max_tokens.
    const int64_t room =
        model_.policy->config().max_position_embeddings - static_cast<int64_t>(ids.size());
    EngineRequest request{.policy = model_.policy, .prompt_ids = ids, .options = request_.sampling};
    if (room > 0) {
      request.options.max_new_tokens = std::min(request.options.max_new_tokens, room);
      request.options.min_new_tokens = std::min(request.options.min_new_tokens, room);
    }
    const size_t first = choices_.size();
    for (uint64_t sample = 0; sample < static_cast<uint64_t>(request_.n); ++sample) {
      request.sample_keys.push_back(CounterRng({seed, prompt, sample}).key());
      choices_.push_back(std::make_unique<Choice>(static_cast<int64_t>(choices_.size()),
                                                  model_.tokenizer.get(), ids, request_.stop));
      if (request_.logprobs) choices_.back()->whole_text.emplace(model_.tokenizer.get(), ids);
    }
    // Pointers to the choices: choices_ may grow while the engine runs these.
    std::vector<Choice*> choices;
    for (size_t i = first; i < choices_.size(); ++i) choices.push_back(choices_[i].get());
    request.on_token = [this, choices](size_t sample, const Generation& so_far) {
      return OnToken(*choices[sample], so_far);
    };
    request.on_done = [this, choices](size_t sample, absl::StatusOr<Generation> response) {
      OnDone(*choices[sample], std::move(response));
    };
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t id, engine_.Submit(std::move(request)));
    engine_ids_.push_back(id);
  }
  return absl::OkStatus();
}

bool Completion::OnToken(Choice& choice, const Generation& so_far) {
  AddTokens(choice, so_far);
  const bool is_stopped = choice.text.begin() >= 0;
  if (in_pieces_ && !is_stopped) {
    choice.delta.text = choice.text.TakeText();
    if (!choice.delta.text.empty()) Send(choice, "", so_far);
  }
  return is_stopped;
}

void Completion::OnDone(Choice& choice, absl::StatusOr<Generation> response) {
  if (!response.ok()) {
    absl::MutexLock lock(&mu_);
    if (error_.ok()) error_ = response.status();
    return;
  }
  AddTokens(choice, *response);
  const bool is_stopped = choice.text.begin() >= 0 || choice.text.Finish();
  choice.delta.text = choice.text.TakeText();
  const bool is_stop = is_stopped || response->stop_reason != StopReason::kLength;
  Send(choice, is_stop ? "stop" : "length", *response);
}

void Completion::AddTokens(Choice& choice, const Generation& so_far) const {
  for (; choice.seen < so_far.token_ids.size(); ++choice.seen) {
    const int32_t id = so_far.token_ids[choice.seen];
    const bool is_end = IsEndOfSequence(model_, id);
    if (request_.logprobs) {
      choice.delta.tokens.push_back(
          {.token = {TokenText(*model_.tokenizer, choice.previous, id), so_far.logps[choice.seen]},
           .text_offset = choice.characters});
      if (!is_end) choice.characters += CharacterCount(choice.whole_text->Push(id));
    }
    choice.previous = id;
    if (!is_end && choice.text.begin() < 0) choice.text.Push(id);
  }
}

void Completion::Send(Choice& choice, std::string finish_reason, const Generation& response) {
  const bool is_last = !finish_reason.empty();
  Event event;
  event.delta = std::exchange(choice.delta, ChoiceDelta{.index = choice.delta.index});
  event.delta.finish_reason = std::move(finish_reason);
  if (request_.top_logprobs > 0) event.ids = response.token_ids;
  absl::MutexLock lock(&mu_);
  if (is_last) {
    --unfinished_;
    completion_tokens_ += static_cast<int64_t>(response.token_ids.size());
  }
  events_.push_back(std::move(event));
}

absl::StatusOr<std::vector<ChoiceDelta>> Completion::Take(absl::Duration timeout) {
  std::vector<Event> events;
  {
    absl::MutexLock lock(&mu_);
    const auto has_news = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return !events_.empty() || !error_.ok() || unfinished_ == 0;
    };
    mu_.AwaitWithTimeout(absl::Condition(&has_news), timeout);
    ATTUNE_RETURN_IF_ERROR(error_);
    events.swap(events_);
  }
  std::vector<ChoiceDelta> deltas;
  for (Event& event : events) {
    ATTUNE_RETURN_IF_ERROR(AddTopLogprobs(event));
    deltas.push_back(std::move(event.delta));
  }
  return deltas;
}

// The engine does not keep the logits; for the few requests that want more of them than the chance
// of what was drawn, the response is run through the model once more, by the thread that answers.
absl::Status Completion::AddTopLogprobs(Event& event) const {
  if (event.ids.empty()) return absl::OkStatus();
  const std::vector<int32_t>& prompt = prompts_[event.delta.index / request_.n];
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::vector<TokenLogProb>> tops,
                          TopLogProbs(*model_.policy, prompt, event.ids, request_.top_logprobs));
  int32_t previous = prompt.back();
  for (size_t i = 0; i < tops.size(); ++i) {
    for (const TokenLogProb& top : tops[i]) {
      event.delta.tokens[i].top.push_back(
          {TokenText(*model_.tokenizer, previous, top.id), top.logp});
    }
    previous = event.ids[i];
  }
  return absl::OkStatus();
}

bool Completion::ended() const {
  absl::MutexLock lock(&mu_);
  return unfinished_ == 0 && events_.empty();
}

ApiUsage Completion::usage() const {
  ApiUsage usage;
  for (const std::vector<int32_t>& prompt : prompts_) {
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  }
  absl::MutexLock lock(&mu_);
  usage.completion_tokens = completion_tokens_;
  return usage;
}

}  // namespace attune
