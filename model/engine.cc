#include "model/engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/kernels.h"
#include "model/scorer.h"

namespace attune {
namespace {

// Logits that exist at a time: some fifty rows of a vocabulary of 150,000.
constexpr int64_t kLogitsMax = 8 << 20;

int64_t PagesOf(int64_t positions) { return (positions + kPagePositions - 1) / kPagePositions; }

absl::Status CheckSame(const char* name, int64_t policy, int64_t other) {
  if (policy == other) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot sample from a mixture of policies whose ",
                                                 name, " is ", policy, " and ", other,
                                                 "; they must be of one architecture"));
}

absl::Status CheckMixture(const EngineRequest& request) {
  if (request.other == nullptr) return absl::OkStatus();
  if (!(request.other_weight >= 0 && request.other_weight <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("the weight of a policy in a mixture is ",
                                                   request.other_weight,
                                                   "; it must be within 0-1"));
  }
  const ModelConfig& config = request.policy->config();
  const ModelConfig& other = request.other->config();
  ATTUNE_RETURN_IF_ERROR(CheckSame("vocab_size", config.outputs(), other.outputs()));
  return CheckSame("max_position_embeddings", config.max_position_embeddings,
                   other.max_position_embeddings);
}

int64_t PageBytes(const EngineRequest& request) {
  return request.policy->kv_layout().page_bytes +
         (request.other == nullptr ? 0 : request.other->kv_layout().page_bytes);
}

}  // namespace

struct Engine::Request {
  uint64_t id;
  EngineRequest asked;
  Stopwatch since_add{};
};

// Keys and values of one sequence under both policies.
struct Engine::Caches {
  KvCache policy;
  KvCache other;  // unused without a mixture
};

// A response in the making, or all of a request while their prompt is run for the first time.
struct Engine::Run {
  std::shared_ptr<const Request> request;
  std::vector<size_t> samples;
  Generation generation{};  // so far, of the one sample
  Caches caches;
  int64_t cached = 0;     // positions whose keys and values are there
  double last_token = 0;  // seconds since Add
  bool planned = false;   // for this step

  int64_t prompt_tokens() const { return static_cast<int64_t>(request->asked.prompt_ids.size()); }
  int64_t tokens() const {
    return prompt_tokens() + static_cast<int64_t>(generation.token_ids.size());
  }
  int64_t due() const { return tokens() - cached; }
  int32_t token(int64_t position) const {
    return position < prompt_tokens() ? request->asked.prompt_ids[position]
                                      : generation.token_ids[position - prompt_tokens()];
  }
};

struct Engine::PlannedRun {
  RunList::iterator run;
  int64_t tokens;                     // that it runs in this step
  std::vector<float> other_logits{};  // of a mixture
  std::vector<Draw> draws{};          // by sample; empty: its prompt has not been run to the end

  bool completes() const { return tokens == run->due(); }
};

Engine::Engine(const EngineOptions& options)
    : options_(options), team_(options.threads), samplers_(static_cast<size_t>(options.threads)) {
  ATTUNE_CHECK(options.rows_max >= 1 && options.sequences_max >= 1);
}

Engine::~Engine() = default;

absl::Status Engine::Check(const EngineOptions& options, const EngineRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(request.options));
  ATTUNE_RETURN_IF_ERROR(CheckMixture(request));
  ATTUNE_RETURN_IF_ERROR(CheckPrompt(*request.policy, request.prompt_ids));
  const int64_t prompt = static_cast<int64_t>(request.prompt_ids.size());
  const int64_t longest = std::min(prompt + request.options.max_new_tokens,
                                   request.policy->config().max_position_embeddings);
  const int64_t pages = PagesOf(longest);
  if (pages <= options.cache_bytes / PageBytes(request)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a prompt of ", prompt, " tokens and a response can take ", longest,
                   " positions, which need ", pages * PageBytes(request),
                   " bytes of keys and values; the cache has ", options.cache_bytes,
                   "; lower max_new_tokens or enlarge the cache"));
}

void Engine::Add(uint64_t id, EngineRequest request) {
  if (request.sample_keys.empty()) return;
  Run run;
  for (size_t i = 0; i < request.sample_keys.size(); ++i) run.samples.push_back(i);
  run.request = std::make_shared<const Request>(Request{id, std::move(request)});
  waiting_.push_back(std::move(run));
}

void Engine::Cancel(absl::Span<const uint64_t> ids) {
  const absl::flat_hash_set<uint64_t> gone(ids.begin(), ids.end());
  const auto is_its = [&](const Run& run) { return gone.contains(run.request->id); };
  for (const Run& run : active_) {
    if (is_its(run)) sequences_ -= static_cast<int64_t>(run.samples.size());
  }
  active_.remove_if(is_its);
  waiting_.remove_if(is_its);
}

double Engine::cache_use() const {
  return static_cast<double>(pages_.bytes()) / static_cast<double>(options_.cache_bytes);
}

void Engine::Step() {
  const Stopwatch watch;
  Admit();
  int64_t prefill = 0;
  std::vector<PlannedRun> plan = Plan(&prefill);
  // The other policies of mixtures first: a draw needs both.
  for (const bool as_other : {true, false}) {
    std::vector<std::pair<const Policy*, std::vector<PlannedRun*>>> by_policy;
    for (PlannedRun& planned : plan) {
      const EngineRequest& asked = planned.run->request->asked;
      const Policy* const policy = as_other ? asked.other.get() : asked.policy.get();
      if (policy == nullptr) continue;
      const auto found = std::find_if(by_policy.begin(), by_policy.end(),
                                      [&](const auto& entry) { return entry.first == policy; });
      (found == by_policy.end() ? by_policy.emplace_back(policy, 0) : *found)
          .second.push_back(&planned);
    }
    for (const auto& [policy, runs] : by_policy) RunPolicy(*policy, runs, as_other);
  }
  Finish(absl::MakeSpan(plan));
  int64_t rows = 0;
  for (const PlannedRun& planned : plan) rows += planned.tokens;
  const double share = rows == 0 ? 0 : static_cast<double>(prefill) / static_cast<double>(rows);
  const double seconds = watch.Seconds();
  ++counters_.steps;
  counters_.prefill_tokens += prefill;
  counters_.prefill_seconds += share * seconds;
  counters_.decode_seconds += (1 - share) * seconds;
}

void Engine::Admit() {
  while (!waiting_.empty()) {
    const int64_t samples = static_cast<int64_t>(waiting_.front().samples.size());
    const Run& run = waiting_.front();
    const int64_t bytes = PagesOf(run.tokens() + 1) * PageBytes(run.request->asked);
    const bool fits = sequences_ + samples <= options_.sequences_max &&
                      pages_.bytes() + bytes <= options_.cache_bytes;
    if (!fits && !active_.empty()) return;
    active_.splice(active_.end(), waiting_, waiting_.begin());
    active_.back().caches = {KvCache(pages_), KvCache(pages_)};
    sequences_ += samples;
  }
}

std::vector<Engine::PlannedRun> Engine::Plan(int64_t* prefill) {
  std::vector<PlannedRun> plan;
  int64_t rows = 0;
  int64_t bytes = 0;  // that the planned runs will take
  // A token of each response first, then chunks of prompts, so that these delay nobody for long;
  // the oldest first, so that one always comes to its end.
  for (const bool decoding : {true, false}) {
    for (auto run = active_.begin(); run != active_.end() && rows < options_.rows_max; ++run) {
      if (run->planned || (run->due() == 1) != decoding) continue;
      const int64_t tokens = std::min(run->due(), options_.rows_max - rows);
      const int64_t needed = BytesFor(*run, tokens);
      if (!MakeRoom(run, bytes + needed)) continue;
      plan.push_back({run, tokens});
      run->planned = true;
      bytes += needed;
      rows += tokens;
      if (!decoding) *prefill += tokens;
    }
  }
  return plan;
}

int64_t Engine::BytesFor(const Run& run, int64_t tokens) const {
  int64_t pages = PagesOf(run.cached + tokens) - PagesOf(run.cached);
  // A page that is shared is copied.
  if (run.cached % kPagePositions != 0 && run.caches.policy.NeedsPage(run.cached)) ++pages;
  return pages * PageBytes(run.request->asked);
}

bool Engine::MakeRoom(RunList::iterator run, int64_t bytes) {
  while (pages_.bytes() + bytes > options_.cache_bytes) {
    const auto victim = std::prev(active_.end());
    if (victim == run) return active_.size() == 1;  // Check has seen that it fits
    auto younger = victim;
    while (younger != run && younger->planned) --younger;
    if (younger == run) return false;
    Preempt(younger);
  }
  return true;
}

void Engine::Preempt(RunList::iterator run) {
  run->caches = {};
  run->cached = 0;
  sequences_ -= static_cast<int64_t>(run->samples.size());
  waiting_.splice(waiting_.begin(), active_, run);
  ++counters_.preemptions;
}

void Engine::RunPolicy(const Policy& policy, absl::Span<PlannedRun* const> plan, bool as_other) {
  std::vector<PolicyRow> rows;
  std::vector<PlannedRun*> wanted;
  for (PlannedRun* planned : plan) {
    Run& run = *planned->run;
    KvCache* const cache = as_other ? &run.caches.other : &run.caches.policy;
    const int64_t end = run.cached + planned->tokens;
    for (int64_t position = run.cached; position < end; ++position) {
      const bool last = planned->completes() && position + 1 == end;
      rows.push_back({cache, position, run.token(position), last});
    }
    if (planned->completes()) wanted.push_back(planned);
  }
  const std::vector<float> states = policy.Forward(rows, &team_);
  const int64_t width = policy.config().outputs();
  const int64_t hidden = policy.config().hidden_size;
  const int64_t count = static_cast<int64_t>(wanted.size());
  const int64_t step = std::max<int64_t>(1, kLogitsMax / width);
  for (int64_t first = 0; first < count; first += step) {
    const int64_t some = std::min(step, count - first);
    logits_.resize(std::max(logits_.size(), static_cast<size_t>(some * width)));
    policy.Logits(&states[first * hidden], some, logits_.data(), &team_);
    const absl::Span<const float> logits(logits_.data(), some * width);
    const auto drawn = absl::MakeConstSpan(wanted).subspan(first, some);
    if (!as_other) {
      DrawRows(drawn, logits);
      continue;
    }
    for (int64_t i = 0; i < some; ++i) {
      const absl::Span<const float> row = logits.subspan(i * width, width);
      drawn[i]->other_logits.assign(row.begin(), row.end());
    }
  }
}

void Engine::DrawRows(absl::Span<PlannedRun* const> rows, absl::Span<const float> logits) {
  const size_t width = logits.size() / rows.size();
  const size_t pieces = std::min(samplers_.size(), rows.size());
  team_.Run(static_cast<int64_t>(pieces), [&](int64_t piece) {
    Sampler& sampler = samplers_[piece];
    std::vector<float> mixed;
    for (size_t i = piece; i < rows.size(); i += pieces) {
      PlannedRun& planned = *rows[i];
      const Run& run = *planned.run;
      const absl::Span<const float> row = logits.subspan(i * width, width);
      for (size_t sample : run.samples) {
        planned.draws.push_back(DrawNext(sampler, *run.request, run.generation, sample, row,
                                         planned.other_logits, &mixed));
      }
    }
  });
}

Draw Engine::DrawNext(Sampler& sampler, const Request& request, const Generation& so_far,
                      size_t sample, absl::Span<const float> logits,
                      absl::Span<const float> other_logits, std::vector<float>* mixed) {
  const EngineRequest& asked = request.asked;
  const double u = CounterRng(asked.sample_keys[sample]).Uniform(so_far.token_ids.size());
  const SamplingContext context = {asked.prompt_ids, so_far.token_ids,
                                   asked.policy->config().eos_token_ids};
  if (other_logits.empty()) return sampler.Next(logits, u, asked.options, context);
  // Normalising the logits of either policy first would only shift the sum. In double, so that a
  // mixture of equal logits is them to the bit.
  const double weight = asked.other_weight;
  mixed->resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    (*mixed)[i] = static_cast<float>(weight * other_logits[i] + (1 - weight) * logits[i]);
  }
  Draw draw = sampler.Next(*mixed, u, asked.options, context);
  if (!std::isfinite(draw.logp)) return draw;
  draw.logp = logits[draw.token] - LogSumExp(logits.data(), logits.size());
  return draw;
}

void Engine::Finish(absl::Span<PlannedRun> plan) {
  for (PlannedRun& planned : plan) {
    const RunList::iterator run = planned.run;
    run->planned = false;
    run->cached += planned.tokens;
    if (planned.draws.empty()) continue;
    if (run->samples.size() > 1) {
      Split(run, planned.draws);
    } else if (!Extend(&*run, planned.draws[0])) {
      active_.erase(run);
      --sequences_;
    }
  }
}

void Engine::Split(RunList::iterator run, absl::Span<const Draw> draws) {
  const int64_t others = static_cast<int64_t>(run->samples.size()) - 1;
  counters_.shared_prompt_tokens += others * run->prompt_tokens();
  for (size_t i = 0; i < run->samples.size(); ++i) {
    Run one;
    one.request = run->request;
    one.samples = {run->samples[i]};
    one.caches = run->caches;
    one.cached = run->cached;
    if (Extend(&one, draws[i])) {
      active_.insert(run, std::move(one));
    } else {
      --sequences_;
    }
  }
  active_.erase(run);
}

void Engine::CountToken(Run* run) {
  const double now = run->request->since_add.Seconds();
  const bool first = run->generation.token_ids.empty();
  if (!first) counters_.next_token.Add(now - run->last_token);
  if (first && run->samples[0] == 0) counters_.first_token.Add(now);
  run->last_token = now;
}

bool Engine::Extend(Run* run, const Draw& draw) {
  const EngineRequest& asked = run->request->asked;
  const size_t sample = run->samples[0];
  if (!std::isfinite(draw.logp)) {
    asked.on_done(sample, NotFiniteError());
    return false;
  }
  ++counters_.decode_tokens;
  CountToken(run);
  Generation& generation = run->generation;
  generation.token_ids.push_back(draw.token);
  generation.logps.push_back(draw.logp);
  generation.sampling_logps.push_back(draw.sampling_logp);
  const bool stop = asked.on_token != nullptr && asked.on_token(sample, generation);
  const ModelConfig& config = asked.policy->config();
  const std::vector<int32_t>& eos = config.eos_token_ids;
  const int64_t drawn = static_cast<int64_t>(generation.token_ids.size());
  if (std::find(eos.begin(), eos.end(), draw.token) != eos.end()) {
    generation.stop_reason = StopReason::kEndOfSequence;
  } else if (stop) {
    generation.stop_reason = StopReason::kStop;
  } else if (drawn < asked.options.max_new_tokens &&
             run->tokens() < config.max_position_embeddings) {
    return true;
  } else {
    generation.stop_reason = StopReason::kLength;
  }
  asked.on_done(sample, std::move(generation));
  return false;
}

}  // namespace attune
