#include "coordinator/pair_service.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
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
  const v1::Reference reference = job.resolved_spec().objective().reference();
  for (const PairSlot& slot :
       TrainingOrder(job.resolved_spec().seed(), round->pairs().kept(), request)) {
    ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::Pair> pair,
                            store_->GetPair(job.ordinal(), request.round(), slot.pair));
    if (!pair.has_value()) {
      return absl::DataLossError(absl::StrCat(round->name(), " lacks pair ", slot.pair));
    }
    if (!writer->Write(MakeTrainingPair(*pair, reference, slot.update))) {
      return absl::CancelledError("the trainer left");
    }
  }
  return absl::OkStatus();
}

}  // namespace attune
