#include "coordinator/gang_call.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/trainer.grpc.pb.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/retry.h"
#include "common/status_macros.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr uint32_t kAttemptsMax = 6;
constexpr absl::Duration kGangPatience = absl::Minutes(10);
constexpr absl::Duration kTrainTimeout = absl::Hours(24);
// A rank that saw another fail often ends before that one has said why.
constexpr absl::Duration kExplanationPatience = absl::Seconds(5);

absl::StatusOr<std::vector<v1::WorkerInfo>> WaitForGang(const Membership& membership,
                                                        const std::stop_token& stop) {
  const Stopwatch waited;
  while (!stop.stop_requested()) {
    std::vector<v1::WorkerInfo> gang = membership.LiveGang();
    if (!gang.empty()) return gang;
    if (waited.Seconds() > absl::ToDoubleSeconds(kGangPatience)) {
      return absl::UnavailableError(absl::StrCat("no complete trainer gang for ",
                                                 absl::FormatDuration(kGangPatience)));
    }
    PauseFor(absl::Milliseconds(200));
  }
  return absl::CancelledError("stopped");
}

struct RankCall {
  grpc::ClientContext context;
  absl::StatusOr<v1::TrainRoundResult> result = absl::UnknownError("not answered");
};

absl::StatusOr<v1::TrainRoundResult> ReadRank(const v1::WorkerInfo& rank,
                                              const v1::TrainRoundRequest& request,
                                              grpc::ClientContext* context, const StepCall& step) {
  auto stub = v1::TrainerService::NewStub(MakeChannel(rank.address()));
  auto stream = stub->TrainRound(context, request);
  v1::TrainRoundEvent event;
  v1::TrainRoundResult result;
  bool finished = false;
  while (stream->Read(&event)) {
    if (event.has_step()) step(event.step());
    if (event.has_result()) {
      result = event.result();
      finished = true;
    }
  }
  ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stream->Finish()));
  if (!finished) return absl::InternalError("the rank ended without a result");
  return result;
}

// A status that only says that another rank failed.
bool IsEcho(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsCancelled(status);
}

// How many ranks have ended, and how. Thread-safe.
class GangProgress {
 public:
  explicit GangProgress(size_t ranks) : left_(ranks) {}

  void Ended(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    --left_;
    failed_ = failed_ || !status.ok();
    explained_ = explained_ || !(status.ok() || IsEcho(status));
  }

  // Returns true once all have succeeded; false as soon as the rest of the gang is to be ended,
  // because a rank failed and said why, or no other did so in time.
  bool WaitForAllToSucceed() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &GangProgress::EndedOrFailed));
    if (!failed_) return true;
    mutex_.AwaitWithTimeout(absl::Condition(this, &GangProgress::EndedOrExplained),
                            kExplanationPatience);
    return false;
  }

 private:
  bool EndedOrFailed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return left_ == 0 || failed_;
  }
  bool EndedOrExplained() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return left_ == 0 || explained_;
  }

  absl::Mutex mutex_;
  size_t left_ ABSL_GUARDED_BY(mutex_);
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool explained_ ABSL_GUARDED_BY(mutex_) = false;
};

// The most telling error.
absl::Status WorstOf(const std::vector<std::unique_ptr<RankCall>>& calls,
                     const std::vector<v1::WorkerInfo>& gang) {
  absl::Status worst;
  for (size_t i = 0; i < calls.size(); ++i) {
    const absl::Status& status = calls[i]->result.status();
    if (status.ok()) continue;
    if (worst.ok() || IsEcho(worst)) {
      worst = Annotate(status, absl::StrCat("trainer rank ", i, " at ", gang[i].address()));
    }
  }
  return worst;
}

absl::StatusOr<v1::TrainRoundResult> CallGang(const std::vector<v1::WorkerInfo>& gang,
                                              const v1::TrainRoundRequest& request,
                                              const std::stop_token& stop, const StepCall& step) {
  std::vector<std::unique_ptr<RankCall>> calls;
  for (size_t i = 0; i < gang.size(); ++i) {
    calls.push_back(std::make_unique<RankCall>());
    SetDeadline(calls.back()->context, kTrainTimeout);
  }
  const auto cancel_all = [&] {
    for (auto& call : calls) call->context.TryCancel();
  };
  std::stop_callback cancel(stop, cancel_all);
  GangProgress progress(gang.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < gang.size(); ++i) {
    threads.emplace_back([&, i] {
      calls[i]->result = ReadRank(gang[i], request, &calls[i]->context, step);
      progress.Ended(calls[i]->result.status());
    });
  }
  if (!progress.WaitForAllToSucceed()) cancel_all();
  for (std::thread& thread : threads) thread.join();
  if (stop.stop_requested()) return absl::CancelledError("stopped");
  ATTUNE_RETURN_IF_ERROR(WorstOf(calls, gang));
  for (const auto& call : calls) {
    if (call->result->policy().digest() != calls[0]->result->policy().digest()) {
      return absl::DataLossError("trainer ranks ended with different weights");
    }
  }
  return *std::move(calls[0]->result);
}

}  // namespace

absl::StatusOr<v1::TrainRoundResult> TrainOnGang(const Membership& membership,
                                                 v1::TrainRoundRequest request,
                                                 std::stop_token stop, const StepCall& step) {
  const Backoff backoff{.initial = absl::Milliseconds(500)};
  for (uint32_t attempt = 1;; ++attempt) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::WorkerInfo> gang,
                            WaitForGang(membership, stop));
    request.set_attempt(absl::StrCat(gang[0].gang_id(), "/", attempt));
    absl::StatusOr<v1::TrainRoundResult> result = CallGang(gang, request, stop, step);
    if (result.ok() || stop.stop_requested()) return result;
    const bool retry = IsRetryable(result.status()) || absl::IsCancelled(result.status());
    if (!retry) return result;
    LogWarning("round ", request.round(), " training attempt ", attempt, ": ",
               result.status().message());
    if (attempt == kAttemptsMax) {
      return absl::UnavailableError(absl::StrCat("training failed ", attempt, " times, at last: ",
                                                 result.status().message()));
    }
    PauseFor(backoff.Delay(attempt, request.round()));
  }
}

}  // namespace attune
