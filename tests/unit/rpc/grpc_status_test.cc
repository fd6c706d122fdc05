#include "rpc/grpc_status.h"

#include <memory>
#include <string>

#include "attune/v1/oracle.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// An oracle that answers everything with one status.
class FailingOracle : public v1::OracleService::Service {
 public:
  explicit FailingOracle(absl::Status status) : status_(std::move(status)) {}
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*,
                        v1::DescribeResponse*) override {
    return ToGrpcStatus(status_);
  }

 private:
  const absl::Status status_;
};

// What a caller sees of `status` across a real connection.
absl::Status OverTheWire(const absl::Status& status) {
  FailingOracle oracle(status);
  absl::StatusOr<std::unique_ptr<RpcServer>> server = RpcServer::Start("127.0.0.1:0", {&oracle});
  if (!server.ok()) return server.status();
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(30));
  v1::DescribeResponse response;
  return FromGrpcStatus(v1::OracleService::NewStub(MakeChannel((*server)->address()))
                            ->Describe(&context, {}, &response));
}

TEST(GrpcStatusTest, CodesAndMessagesArrive) {
  EXPECT_OK(OverTheWire(absl::OkStatus()));
  for (const absl::Status& status :
       {absl::NotFoundError("no model at \xc3\xa9"), absl::DataLossError("torn"),
        absl::FailedPreconditionError(""), absl::ResourceExhaustedError("full")}) {
    EXPECT_EQ(OverTheWire(status), status);
  }
}

TEST(GrpcStatusTest, EveryViolationArrives) {
  const absl::Status seen =
      OverTheWire(BadRequestError({{"training.learning_rate", "is 2; at most 1"},
                                   {"rounds", "is 0; at least 1"}}));
  EXPECT_THAT(seen, StatusIs(absl::StatusCode::kInvalidArgument,
                             "training.learning_rate: is 2; at most 1; rounds: is 0; at least 1"));
  const std::vector<FieldViolation> violations = FieldViolations(seen);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "training.learning_rate");
  EXPECT_EQ(violations[0].description, "is 2; at most 1");
  EXPECT_EQ(violations[1].field, "rounds");
}

TEST(GrpcStatusTest, NothingWrongIsOk) {
  EXPECT_OK(BadRequestError({}));
  EXPECT_TRUE(FieldViolations(absl::OkStatus()).empty());
  EXPECT_TRUE(FieldViolations(absl::InvalidArgumentError("plain")).empty());
}

TEST(GrpcStatusTest, MissingResourceIsNamed) {
  const absl::Status seen = OverTheWire(ResourceNotFoundError("job", "jobs/x"));
  EXPECT_THAT(seen, StatusIs(absl::StatusCode::kNotFound, "jobs/x"));
  google::rpc::ResourceInfo detail;
  const auto payload = seen.GetPayload("type.googleapis.com/google.rpc.ResourceInfo");
  ASSERT_TRUE(payload.has_value());
  ASSERT_TRUE(detail.ParseFromString(std::string(*payload)));
  EXPECT_EQ(detail.resource_type(), "job");
  EXPECT_EQ(detail.resource_name(), "jobs/x");
}

TEST(GrpcStatusTest, OverloadSaysWhenToComeBack) {
  const absl::Status seen = OverTheWire(OverloadedError("queue full", absl::Milliseconds(1250)));
  EXPECT_THAT(seen, StatusIs(absl::StatusCode::kResourceExhausted, "queue full"));
  google::rpc::RetryInfo detail;
  const auto payload = seen.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  ASSERT_TRUE(payload.has_value());
  ASSERT_TRUE(detail.ParseFromString(std::string(*payload)));
  EXPECT_EQ(detail.retry_delay().seconds(), 1);
  EXPECT_EQ(detail.retry_delay().nanos(), 250'000'000);
  EXPECT_EQ(RetryAfter(seen), absl::Milliseconds(1250));
  EXPECT_EQ(RetryAfter(absl::ResourceExhaustedError("without details")), absl::ZeroDuration());
}

}  // namespace
}  // namespace attune
