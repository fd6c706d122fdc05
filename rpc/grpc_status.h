// The one place where absl::Status and grpc::Status meet. google.rpc details travel as payloads of
// the absl::Status (type URL "type.googleapis.com/...") and in grpc-status-details-bin.
#ifndef ATTUNE_RPC_GRPC_STATUS_H_
#define ATTUNE_RPC_GRPC_STATUS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace attune {

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

// One thing wrong with a request: the path of the field ("training.learning_rate") and a sentence
// with the value and the limit.
struct FieldViolation {
  std::string field;
  std::string description;
};

// INVALID_ARGUMENT with google.rpc.BadRequest; OK when there is nothing wrong.
absl::Status BadRequestError(const std::vector<FieldViolation>& violations);
// The violations of such an error; empty for any other.
std::vector<FieldViolation> FieldViolations(const absl::Status& status);

// NOT_FOUND with google.rpc.ResourceInfo, for example ("job", "jobs/x").
absl::Status ResourceNotFoundError(absl::string_view type, absl::string_view name);

// RESOURCE_EXHAUSTED with google.rpc.RetryInfo.
absl::Status OverloadedError(absl::string_view message, absl::Duration retry_after);
// How long such an error asks its caller to wait; zero for any other.
absl::Duration RetryAfter(const absl::Status& status);

}  // namespace attune

#endif  // ATTUNE_RPC_GRPC_STATUS_H_
