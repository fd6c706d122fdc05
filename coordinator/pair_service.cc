#include "coordinator/pair_service.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/objective_spec.h"
#include "coordinator/train_request.h"
#include "coordinator/training_order.h"
#include "rpc/grpc_status.h"

namespace attune {

grpc::Status PairServiceImpl::StreamPairs(grpc::ServerContext*,
                                          const v1::StreamPairsRequest* request,
                                          grpc::ServerWriter<v1::TrainingPair>* writer) {
  return ToGrpcStatus(Stream(*request, writer));
}

absl::Status PairServiceImpl::Stream(const v1::StreamPairsRequest& request,
                                     grpc::ServerWriter<v1::TrainingPair>* writer) {
  if (request.batch_size() == 0 || request.rank() >= request.world_size()) {
    return BadRequestError({{"batch_size", "and world_size must be positive, rank below it"}});
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, store_->GetJob(request.job()));
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::RoundRecord> round,
                          store_->GetRound(job.ordinal(), request.round()));
  if (!round.has_value() || round->phase() < v1::ROUND_PHASE_PAIRED) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.job(), " round ", request.round(), " has no pairs yet"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> rounds,
                          store_->ListRounds(job.ordinal()));
  const std::vector<ReplayedPair> replayed = ReplayOf(job.resolved_spec(), *round, rounds);
  const uint32_t own = round->pairs().kept();
  const auto read = [&](uint32_t pair) -> absl::StatusOr<v1::Pair> {
    const ReplayedPair which = pair < own ? ReplayedPair{request.round(), pair}
                                          : replayed[pair - own];
    ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Pair> stored,
                            store_->GetPair(job.ordinal(), which.round, which.index));
    if (stored.has_value()) return *std::move(stored);
    return absl::DataLossError(absl::StrCat(round->name(), " lacks pair ", which.index,
                                            " of round ", which.round));
  };
  const v1::ObjectiveSpec& objective = job.resolved_spec().objective();
  const bool mismatched = NeedsOf(objective).mismatched;
  const auto pairs = own + static_cast<uint32_t>(replayed.size());
  for (const PairSlot& slot : TrainingOrder(job.resolved_spec().seed(), pairs, request)) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::Pair pair, read(slot.pair));
    v1::Pair next;
    if (mismatched) {
      ATTUNE_ASSIGN_OR_RETURN(next, read(slot.next));
    }
    if (!writer->Write(MakeTrainingPair(objective, request.round(), slot, pair, next))) {
      return absl::CancelledError("the trainer left");
    }
  }
  return absl::OkStatus();
}

}  // namespace attune
