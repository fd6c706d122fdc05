#include "worker/pair_client.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attune/v1/trainer.grpc.pb.h"
#include "common/clock.h"
#include "common/retry.h"
#include "common/status_macros.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr absl::Duration kCallTimeout = absl::Minutes(5);
constexpr absl::Duration kPatience = absl::Minutes(5);  // inside a collective's timeout

absl::StatusOr<std::vector<v1::TrainingPair>> FetchOnce(v1::PairService::Stub& stub,
                                                        const v1::StreamPairsRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  const auto stream = stub.StreamPairs(&context, request);
  std::vector<v1::TrainingPair> pairs;
  v1::TrainingPair pair;
  while (stream->Read(&pair)) pairs.push_back(std::move(pair));
  ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stream->Finish()));
  return pairs;
}

}  // namespace

absl::StatusOr<std::vector<v1::TrainingPair>> FetchPairs(const std::string& coordinator,
                                                         const v1::StreamPairsRequest& request,
                                                         const std::function<bool()>& stop) {
  const auto stub = v1::PairService::NewStub(MakeChannel(coordinator));
  const Stopwatch waited;
  for (uint32_t attempt = 1; !stop(); ++attempt) {
    absl::StatusOr<std::vector<v1::TrainingPair>> pairs = FetchOnce(*stub, request);
    const bool patient = waited.Seconds() < absl::ToDoubleSeconds(kPatience);
    if (!pairs.ok() && IsRetryable(pairs.status()) && patient) {
      PauseFor(Backoff().Delay(attempt, request.rank()));
      continue;
    }
    // The coordinator's own complaint (FAILED_PRECONDITION ...) is not one of ours to its caller.
    if (!pairs.ok()) {
      return absl::InternalError(absl::StrCat("cannot fetch the pairs of ", request.job(),
                                              " round ", request.round(), " from ", coordinator,
                                              ": ", pairs.status().ToString()));
    }
    return pairs;
  }
  return absl::CancelledError("training was stopped");
}

}  // namespace attune
