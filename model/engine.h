// Continuous batching: requests join and leave between two steps of decoding. A response is a
// function of (policy, prompt, options, key) alone: who shares its batch, how its prompt was cut
// into chunks, how many threads ran and whether it was preempted change no bit of it.
#ifndef ATTUNE_MODEL_ENGINE_H_
#define ATTUNE_MODEL_ENGINE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/duration_counts.h"
#include "model/generation.h"
#include "model/kv_cache.h"
#include "model/policy.h"
#include "model/sampler.h"
#include "model/thread_team.h"

namespace attune {

struct EngineOptions {
  int threads = 1;
  int64_t rows_max = 256;                  // tokens run through a model at a time; at least 1
  int64_t sequences_max = 64;              // responses decoded at a time
  int64_t cache_bytes = int64_t{1} << 30;  // keys and values of all sequences together
};

struct EngineRequest {
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const Policy> other;  // the other policy of a mixture; null: none
  double other_weight = 0;              // in [0, 1]; model/generator.h says what a mixture is
  std::vector<int32_t> prompt_ids;
  std::vector<uint64_t> sample_keys;  // one response each; draw t of it uses CounterRng(key), t
  SamplingOptions options;

  // Called by Step as soon as the token is drawn, with the response so far; true ends the response
  // with kStop. May be null.
  std::function<bool(size_t sample, const Generation& so_far)> on_token;
  // Called by Step once for every sample, unless the request is cancelled. FAILED_PRECONDITION when
  // the logits are not finite.
  std::function<void(size_t sample, absl::StatusOr<Generation> response)> on_done;
};

// What has happened since the engine was made.
struct EngineCounters {
  int64_t steps = 0;
  int64_t prefill_tokens = 0;  // run through a model, those of repeated prefill included
  int64_t decode_tokens = 0;   // drawn
  double prefill_seconds = 0;  // of steps, shared out by rows
  double decode_seconds = 0;
  int64_t preemptions = 0;
  int64_t shared_prompt_tokens = 0;  // that samples took from another's prefill
  DurationCounts first_token;        // of requests: from Add to the first token of any sample
  DurationCounts next_token;         // of responses: from a token to the next
};

// Not thread-safe, callbacks included: one thread makes all calls (model/engine_thread.h is for
// more). Callbacks must not call the engine.
class Engine {
 public:
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // INVALID_ARGUMENT: an option is out of range, the prompt fails CheckPrompt (model/scorer.h), the
  // policies of a mixture do not fit together, or a response could outgrow cache_bytes by itself.
  static absl::Status Check(const EngineOptions& options, const EngineRequest& request);

  // Queues a request that passes Check, under an id of the caller's that no other has.
  void Add(uint64_t id, EngineRequest request);
  // Forgets the requests: no callback comes from now on. Nothing happens to those that have ended.
  void Cancel(absl::Span<const uint64_t> ids);

  bool idle() const { return active_.empty() && waiting_.empty(); }
  // One pass: admits what there is room for, runs a chunk of prompts and one token of every running
  // response. Of several policies, each runs its own rows.
  void Step();

  int64_t running() const { return sequences_; }  // responses
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  double cache_use() const;  // share of cache_bytes
  const EngineCounters& counters() const { return counters_; }

 private:
  struct Request;
  struct Run;
  struct Caches;
  struct PlannedRun;
  using RunList = std::list<Run>;

  void Admit();
  // What this step runs: of some responses, so many of the tokens that are due. Adds to *prefill
  // those of prompts.
  std::vector<PlannedRun> Plan(int64_t* prefill);
  int64_t BytesFor(const Run& run, int64_t tokens) const;
  // Whether there is room for so many bytes more, once runs that are younger than `run` and not
  // planned have given up theirs.
  bool MakeRoom(RunList::iterator run, int64_t bytes);
  void Preempt(RunList::iterator run);
  void RunPolicy(const Policy& policy, absl::Span<PlannedRun* const> plan, bool as_other);
  void DrawRows(absl::Span<PlannedRun* const> rows, absl::Span<const float> logits);
  // As Sampler::Next, from the mixture if there is one; logp is the policy's.
  static Draw DrawNext(Sampler& sampler, const Request& request, const Generation& so_far,
                       size_t sample, absl::Span<const float> logits,
                       absl::Span<const float> other_logits, std::vector<float>* mixed);
  void Finish(absl::Span<PlannedRun> plan);
  // Each sample of a request goes on by itself.
  void Split(RunList::iterator run, absl::Span<const Draw> draws);
  void CountToken(Run* run);
  // Appends a token; false when the response has ended with it.
  bool Extend(Run* run, const Draw& draw);

  const EngineOptions options_;
  ThreadTeam team_;
  KvPages pages_;
  std::vector<Sampler> samplers_;
  std::vector<float> logits_;
  RunList active_;         // by age
  RunList waiting_;        // in the order of admission
  int64_t sequences_ = 0;  // responses of active_
  EngineCounters counters_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_ENGINE_H_
