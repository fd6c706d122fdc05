#include "coordinator/membership_service.h"

#include "rpc/grpc_status.h"

namespace attune {

grpc::Status MembershipServiceImpl::Register(grpc::ServerContext*,
                                             const v1::RegisterRequest* request,
                                             v1::RegisterResponse* response) {
  response->set_heartbeat_seconds(absl::ToDoubleSeconds(kHeartbeatEvery));
  response->set_expiry_seconds(absl::ToDoubleSeconds(kExpiresAfter));
  return ToGrpcStatus(membership_->Register(request->worker()));
}

grpc::Status MembershipServiceImpl::Leave(grpc::ServerContext*, const v1::LeaveRequest* request,
                                          v1::LeaveResponse*) {
  membership_->Leave(request->id());
  return grpc::Status::OK;
}

}  // namespace attune
