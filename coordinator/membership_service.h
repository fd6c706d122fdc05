// gRPC face of Membership.
#ifndef ATTUNE_COORDINATOR_MEMBERSHIP_SERVICE_H_
#define ATTUNE_COORDINATOR_MEMBERSHIP_SERVICE_H_

#include "attune/v1/membership.grpc.pb.h"
#include "coordinator/membership.h"

namespace attune {

class MembershipServiceImpl final : public v1::MembershipService::Service {
 public:
  explicit MembershipServiceImpl(Membership* membership) : membership_(membership) {}

  grpc::Status Register(grpc::ServerContext* context, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override;
  grpc::Status Leave(grpc::ServerContext* context, const v1::LeaveRequest* request,
                     v1::LeaveResponse* response) override;

 private:
  Membership* const membership_;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_MEMBERSHIP_SERVICE_H_
