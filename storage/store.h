// The coordinator's durable state: RocksDB, one writer. Every change is one atomic batch, synced
// before the call returns. Keys are built in storage/keys.cc alone; values are protobuf messages.
#ifndef ATTUNE_STORAGE_STORE_H_
#define ATTUNE_STORAGE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/job_service.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

// What one atomic batch writes; empty parts are left alone. A job is named by its ordinal (Job.
// ordinal), which is never reused.
struct Commit {
  const v1::Job* job = nullptr;
  const v1::RoundRecord* round = nullptr;
  std::vector<v1::Response> responses;    // of round->round()
  std::vector<v1::Judgment> judgments;    // of round->round()
  std::vector<v1::Pair> pairs;            // of round->round()
  // Of the held-out prompts. Responses are kept to be judged again, beside those of later rounds.
  std::vector<v1::Judgment> holdout_judgments;
  std::vector<v1::Response> holdout_responses;  // one a prompt
  std::vector<uint32_t> drop_holdout_responses;  // rounds whose held-out responses go
  bool drop_samples = false;  // responses and judgments of the round go, once pairs and evaluation
                              // made from them are published
  std::vector<v1::JobEvent> events;       // with their sequence numbers
};

class Store {
 public:
  // Opens or creates. FAILED_PRECONDITION when another process has it open or its schema version
  // is newer than ours; DATA_LOSS when it is damaged.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory);
  ~Store();

  // Thread-safe, all of them.
  // Stores a new job under the next ordinal together with its request_id (may be empty) and first
  // event, and returns it; a request_id seen before returns the job stored then.
  [[nodiscard]] absl::StatusOr<v1::Job> CreateJob(v1::Job job, const std::string& request_id);
  absl::Status Write(uint64_t job_ordinal, const Commit& commit);

  // By name "jobs/{job}". NOT_FOUND.
  [[nodiscard]] absl::StatusOr<v1::Job> GetJob(const std::string& name) const;
  // Newest first: at most `limit` jobs with ordinals below `before` (0 = from the newest).
  [[nodiscard]] absl::StatusOr<std::vector<v1::Job>> ListJobs(uint64_t before,
                                                              uint32_t limit) const;
  [[nodiscard]] absl::StatusOr<std::optional<v1::RoundRecord>> GetRound(uint64_t job_ordinal,
                                                                        uint32_t round) const;
  // In order, round 0 included.
  [[nodiscard]] absl::StatusOr<std::vector<v1::RoundRecord>> ListRounds(uint64_t job_ordinal) const;
  // By (prompt position in key order: prompt_index, sample).
  [[nodiscard]] absl::StatusOr<std::vector<v1::Response>> ListResponses(uint64_t job_ordinal,
                                                                        uint32_t round) const;
  [[nodiscard]] absl::StatusOr<std::vector<v1::Judgment>> ListJudgments(uint64_t job_ordinal,
                                                                        uint32_t round) const;
  [[nodiscard]] absl::StatusOr<std::vector<v1::Judgment>> ListHoldoutJudgments(
      uint64_t job_ordinal, uint32_t round) const;
  // By prompt_index.
  [[nodiscard]] absl::StatusOr<std::vector<v1::Response>> ListHoldoutResponses(
      uint64_t job_ordinal, uint32_t round) const;
  // Calls `visit` for each pair in order of index until it returns false.
  absl::Status VisitPairs(uint64_t job_ordinal, uint32_t round,
                          const std::function<bool(const v1::Pair&)>& visit) const;
  [[nodiscard]] absl::StatusOr<std::optional<v1::Pair>> GetPair(uint64_t job_ordinal,
                                                                uint32_t round,
                                                                uint32_t index) const;
  // Events with sequence > after, in order, at most `limit`.
  [[nodiscard]] absl::StatusOr<std::vector<v1::JobEvent>> ListEvents(uint64_t job_ordinal,
                                                                     uint64_t after,
                                                                     uint32_t limit) const;
  [[nodiscard]] absl::StatusOr<uint64_t> LastEventSequence(uint64_t job_ordinal) const;

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace attune

#endif  // ATTUNE_STORAGE_STORE_H_
