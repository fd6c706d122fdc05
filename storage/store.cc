#include "storage/store.h"

#include <limits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "rocksdb/write_batch.h"
#include "rpc/grpc_status.h"
#include "storage/keys.h"
#include "storage/store_db.h"

namespace attune {

struct Store::State {
  explicit State(std::unique_ptr<StoreDb> opened) : db(std::move(opened)) {}

  const std::unique_ptr<StoreDb> db;
  absl::Mutex create_mu;  // held while a new job gets its ordinal
};

namespace {

// One atomic batch of typed values.
class Batch {
 public:
  explicit Batch(StoreDb& db) : db_(db) {}

  void Put(ColumnFamily family, absl::string_view key, const std::string& value) {
    Check(batch_.Put(db_.family(family), rocksdb::Slice(key.data(), key.size()), value));
  }
  template <typename Message>
  void PutMessage(ColumnFamily family, const std::string& key, const Message& message) {
    Put(family, key, message.SerializeAsString());
  }
  void DeletePrefix(ColumnFamily family, const std::string& prefix) {
    Check(batch_.DeleteRange(db_.family(family), prefix, PrefixEnd(prefix)));
  }
  absl::Status Commit() { return db_.Commit(batch_); }

 private:
  // A batch is memory: adding to it fails only for a column family that is not open.
  static void Check(const rocksdb::Status& status) { ATTUNE_CHECK(status.ok()); }

  StoreDb& db_;
  rocksdb::WriteBatch batch_;
};

template <typename Message>
absl::StatusOr<Message> Parse(const StoreDb& db, ColumnFamily family, absl::string_view key,
                              absl::string_view value) {
  Message message;
  if (!message.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return db.DamagedError(family, key, absl::StrCat("a value is no ", message.GetTypeName()));
  }
  return message;
}

template <typename Message>
absl::StatusOr<std::optional<Message>> GetMessage(const StoreDb& db, ColumnFamily family,
                                                  const std::string& key) {
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db.Get(family, key));
  if (!value.has_value()) return std::optional<Message>();
  ATTUNE_ASSIGN_OR_RETURN(Message message, Parse<Message>(db, family, key, *value));
  return std::optional<Message>(std::move(message));
}

// A number stored by EncodeU64.
absl::StatusOr<std::optional<uint64_t>> GetNumber(const StoreDb& db, ColumnFamily family,
                                                  absl::string_view key) {
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<std::string> value, db.Get(family, std::string(key)));
  if (!value.has_value()) return std::optional<uint64_t>();
  const std::optional<uint64_t> number = DecodeU64(*value);
  if (!number.has_value()) return db.DamagedError(family, key, "a number is not of 8 bytes");
  return number;
}

template <typename Message>
absl::Status VisitMessages(const StoreDb& db, ColumnFamily family, const KeyRange& range,
                           Direction direction, const std::function<bool(Message)>& visit) {
  absl::Status parsed;
  ATTUNE_RETURN_IF_ERROR(
      db.Visit(family, range, direction, [&](absl::string_view key, absl::string_view value) {
        absl::StatusOr<Message> message = Parse<Message>(db, family, key, value);
        parsed = message.status();
        return message.ok() && visit(*std::move(message));
      }));
  return parsed;
}

template <typename Message>
absl::StatusOr<std::vector<Message>> ListMessages(
    const StoreDb& db, ColumnFamily family, const KeyRange& range,
    Direction direction = Direction::kUp, size_t limit = std::numeric_limits<size_t>::max()) {
  std::vector<Message> messages;
  if (limit == 0) return messages;
  ATTUNE_RETURN_IF_ERROR(VisitMessages<Message>(db, family, range, direction, [&](Message message) {
    messages.push_back(std::move(message));
    return messages.size() < limit;
  }));
  return messages;
}

absl::StatusOr<v1::Job> GetJobByOrdinal(const StoreDb& db, uint64_t ordinal) {
  const std::string key = OrdinalKey(ordinal);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Job> job,
                          GetMessage<v1::Job>(db, ColumnFamily::kJobs, key));
  if (!job.has_value()) {
    return db.DamagedError(ColumnFamily::kJobs, key, "a job that is referred to is missing");
  }
  return *std::move(job);
}

absl::Status WriteSchemaVersion(StoreDb& db) {
  Batch batch(db);
  batch.Put(ColumnFamily::kMeta, kSchemaVersionKey, EncodeU64(kSchemaVersion));
  return batch.Commit();
}

// Writes the version into a new store and into an older one, whose new column families were made,
// empty, when it was opened; refuses one that is not ours.
absl::Status CheckSchemaVersion(StoreDb& db) {
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<uint64_t> version,
                          GetNumber(db, ColumnFamily::kMeta, kSchemaVersionKey));
  if (!version.has_value()) {
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<v1::Job> jobs,
        ListMessages<v1::Job>(db, ColumnFamily::kJobs, KeyRange(), Direction::kUp, 1));
    if (!jobs.empty()) {
      return db.DamagedError(ColumnFamily::kMeta, kSchemaVersionKey, "there is no schema version");
    }
    return WriteSchemaVersion(db);
  }
  if (*version == 0) {
    return db.DamagedError(ColumnFamily::kMeta, kSchemaVersionKey, "the schema version is 0");
  }
  if (*version < kSchemaVersion) return WriteSchemaVersion(db);
  if (*version == kSchemaVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the store in ", db.directory(), " has schema version ", *version,
      "; this version of Attune reads versions up to ", kSchemaVersion,
      ". Open it with the newer version of Attune that wrote it, or use another data directory"));
}

v1::JobEvent FirstEvent(const v1::Job& job) {
  v1::JobEvent event;
  event.set_sequence(1);
  *event.mutable_time() = job.create_time();
  event.set_state(job.state());
  event.set_round(job.round());
  event.set_message(job.message().empty() ? "The job was accepted." : job.message());
  return event;
}

// Everything of `commit` that belongs to one round.
void AddRound(Batch& batch, uint64_t ordinal, const Commit& commit) {
  const uint32_t round = commit.round->round();
  batch.PutMessage(ColumnFamily::kRounds, RoundKey(ordinal, round), *commit.round);
  for (const v1::Response& response : commit.responses) {
    batch.PutMessage(ColumnFamily::kResponses,
                     ResponseKey(ordinal, round, response.prompt_index(), response.sample()),
                     response);
  }
  for (const v1::Judgment& judgment : commit.judgments) {
    batch.PutMessage(ColumnFamily::kJudgments,
                     RoundItemKey(ordinal, round, judgment.prompt_index()), judgment);
  }
  for (const v1::Judgment& judgment : commit.holdout_judgments) {
    batch.PutMessage(ColumnFamily::kHoldoutJudgments,
                     RoundItemKey(ordinal, round, judgment.prompt_index()), judgment);
  }
  for (uint32_t dropped : commit.drop_holdout_responses) {
    ATTUNE_CHECK(dropped != round);
    batch.DeletePrefix(ColumnFamily::kHoldoutResponses, RoundKey(ordinal, dropped));
  }
  for (const v1::Response& response : commit.holdout_responses) {
    batch.PutMessage(ColumnFamily::kHoldoutResponses,
                     RoundItemKey(ordinal, round, response.prompt_index()), response);
  }
  for (const v1::Pair& pair : commit.pairs) {
    ATTUNE_CHECK(pair.round() == round);
    batch.PutMessage(ColumnFamily::kPairs, RoundItemKey(ordinal, round, pair.index()), pair);
  }
  if (commit.drop_samples) {
    ATTUNE_CHECK(commit.responses.empty() && commit.judgments.empty());
    batch.DeletePrefix(ColumnFamily::kResponses, RoundKey(ordinal, round));
    batch.DeletePrefix(ColumnFamily::kJudgments, RoundKey(ordinal, round));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<StoreDb> db, StoreDb::Open(directory));
  ATTUNE_RETURN_IF_ERROR(CheckSchemaVersion(*db));
  return std::unique_ptr<Store>(new Store(std::make_unique<State>(std::move(db))));
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

absl::StatusOr<v1::Job> Store::CreateJob(v1::Job job, const std::string& request_id) {
  ATTUNE_CHECK(!job.name().empty());
  StoreDb& db = *state_->db;
  absl::MutexLock lock(&state_->create_mu);
  if (!request_id.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::optional<uint64_t> seen,
                            GetNumber(db, ColumnFamily::kRequests, request_id));
    if (seen.has_value()) return GetJobByOrdinal(db, *seen);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<uint64_t> taken,
                          GetNumber(db, ColumnFamily::kJobNames, job.name()));
  if (taken.has_value()) {
    return absl::AlreadyExistsError(absl::StrCat("cannot create ", job.name(), ": it exists"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<uint64_t> next,
                          GetNumber(db, ColumnFamily::kMeta, kNextOrdinalKey));
  job.set_ordinal(next.value_or(1));
  const std::string ordinal = EncodeU64(job.ordinal());
  Batch batch(db);
  batch.Put(ColumnFamily::kMeta, kNextOrdinalKey, EncodeU64(job.ordinal() + 1));
  batch.PutMessage(ColumnFamily::kJobs, OrdinalKey(job.ordinal()), job);
  batch.Put(ColumnFamily::kJobNames, job.name(), ordinal);
  if (!request_id.empty()) batch.Put(ColumnFamily::kRequests, request_id, ordinal);
  batch.PutMessage(ColumnFamily::kEvents, EventKey(job.ordinal(), 1), FirstEvent(job));
  ATTUNE_RETURN_IF_ERROR(batch.Commit());
  return job;
}

absl::Status Store::Write(uint64_t job_ordinal, const Commit& commit) {
  Batch batch(*state_->db);
  if (commit.job != nullptr) {
    ATTUNE_CHECK(commit.job->ordinal() == job_ordinal);
    batch.PutMessage(ColumnFamily::kJobs, OrdinalKey(job_ordinal), *commit.job);
  }
  if (commit.round != nullptr) {
    AddRound(batch, job_ordinal, commit);
  } else {
    ATTUNE_CHECK(commit.responses.empty() && commit.judgments.empty() && commit.pairs.empty());
    ATTUNE_CHECK(commit.holdout_judgments.empty() && !commit.drop_samples);
    ATTUNE_CHECK(commit.holdout_responses.empty() && commit.drop_holdout_responses.empty());
  }
  for (const v1::JobEvent& event : commit.events) {
    ATTUNE_CHECK(event.sequence() > 0);
    batch.PutMessage(ColumnFamily::kEvents, EventKey(job_ordinal, event.sequence()), event);
  }
  return batch.Commit();
}

absl::StatusOr<v1::Job> Store::GetJob(const std::string& name) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<uint64_t> ordinal,
                          GetNumber(*state_->db, ColumnFamily::kJobNames, name));
  if (!ordinal.has_value()) return ResourceNotFoundError("job", name);
  return GetJobByOrdinal(*state_->db, *ordinal);
}

absl::StatusOr<std::vector<v1::Job>> Store::ListJobs(uint64_t before, uint32_t limit) const {
  const KeyRange range{"", before == 0 ? "" : OrdinalKey(before)};
  return ListMessages<v1::Job>(*state_->db, ColumnFamily::kJobs, range, Direction::kDown, limit);
}

absl::StatusOr<std::optional<v1::RoundRecord>> Store::GetRound(uint64_t job_ordinal,
                                                               uint32_t round) const {
  return GetMessage<v1::RoundRecord>(*state_->db, ColumnFamily::kRounds,
                                     RoundKey(job_ordinal, round));
}

absl::StatusOr<std::vector<v1::RoundRecord>> Store::ListRounds(uint64_t job_ordinal) const {
  return ListMessages<v1::RoundRecord>(*state_->db, ColumnFamily::kRounds,
                                       PrefixRange(OrdinalKey(job_ordinal)));
}

absl::StatusOr<std::vector<v1::Response>> Store::ListResponses(uint64_t job_ordinal,
                                                               uint32_t round) const {
  return ListMessages<v1::Response>(*state_->db, ColumnFamily::kResponses,
                                    PrefixRange(RoundKey(job_ordinal, round)));
}

absl::StatusOr<std::vector<v1::Judgment>> Store::ListJudgments(uint64_t job_ordinal,
                                                               uint32_t round) const {
  return ListMessages<v1::Judgment>(*state_->db, ColumnFamily::kJudgments,
                                    PrefixRange(RoundKey(job_ordinal, round)));
}

absl::StatusOr<std::vector<v1::Judgment>> Store::ListHoldoutJudgments(uint64_t job_ordinal,
                                                                      uint32_t round) const {
  return ListMessages<v1::Judgment>(*state_->db, ColumnFamily::kHoldoutJudgments,
                                    PrefixRange(RoundKey(job_ordinal, round)));
}

absl::StatusOr<std::vector<v1::Response>> Store::ListHoldoutResponses(uint64_t job_ordinal,
                                                                      uint32_t round) const {
  return ListMessages<v1::Response>(*state_->db, ColumnFamily::kHoldoutResponses,
                                    PrefixRange(RoundKey(job_ordinal, round)));
}

absl::Status Store::VisitPairs(uint64_t job_ordinal, uint32_t round,
                               const std::function<bool(const v1::Pair&)>& visit) const {
  return VisitMessages<v1::Pair>(*state_->db, ColumnFamily::kPairs,
                                 PrefixRange(RoundKey(job_ordinal, round)), Direction::kUp, visit);
}

absl::StatusOr<std::optional<v1::Pair>> Store::GetPair(uint64_t job_ordinal, uint32_t round,
                                                       uint32_t index) const {
  return GetMessage<v1::Pair>(*state_->db, ColumnFamily::kPairs,
                              RoundItemKey(job_ordinal, round, index));
}

absl::StatusOr<std::vector<v1::JobEvent>> Store::ListEvents(uint64_t job_ordinal, uint64_t after,
                                                            uint32_t limit) const {
  if (after == std::numeric_limits<uint64_t>::max()) return std::vector<v1::JobEvent>();
  const KeyRange range{EventKey(job_ordinal, after + 1), PrefixEnd(OrdinalKey(job_ordinal))};
  return ListMessages<v1::JobEvent>(*state_->db, ColumnFamily::kEvents, range, Direction::kUp,
                                    limit);
}

absl::StatusOr<uint64_t> Store::LastEventSequence(uint64_t job_ordinal) const {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<v1::JobEvent> last,
      ListMessages<v1::JobEvent>(*state_->db, ColumnFamily::kEvents,
                                 PrefixRange(OrdinalKey(job_ordinal)), Direction::kDown, 1));
  return last.empty() ? 0 : last.front().sequence();
}

}  // namespace attune
