#include "rpc/server.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "attune/v1/oracle.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "rpc/channel.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);

grpc::ByteBuffer Bytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// One request and its first answer on `method`, as serialized messages.
std::string Call(const std::string& address, const std::string& method,
                 const std::string& request) {
  grpc::GenericStub stub(MakeChannel(address));
  grpc::ClientContext context;
  SetDeadline(context, kPatience);
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  auto stream = stub.PrepareCall(&context, method, &queue);
  stream->StartCall(nullptr);
  queue.Next(&tag, &ok);
  stream->WriteLast(Bytes(request), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer answer;
  stream->Read(&answer, nullptr);
  queue.Next(&tag, &ok);
  const std::string text = ok ? Text(answer) : "no answer";
  grpc::Status status;
  stream->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  return text;
}

// Holds its calls until told.
class SlowOracle : public v1::OracleService::Service {
 public:
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*,
                        v1::DescribeResponse* response) override {
    entered.Notify();
    release.WaitForNotification();
    response->set_oracle("slow/1");
    return grpc::Status::OK;
  }

  absl::Notification entered;
  absl::Notification release;
};

grpc::Status Describe(const std::string& address, bool wait_for_ready = false,
                      absl::Duration timeout = kPatience) {
  grpc::ClientContext context;
  SetDeadline(context, timeout, wait_for_ready);
  v1::DescribeResponse response;
  return v1::OracleService::NewStub(MakeChannel(address))->Describe(&context, {}, &response);
}

TEST(RpcServerTest, PortZeroPicksAFreePort) {
  v1::OracleService::Service oracle;
  ASSERT_OK_AND_ASSIGN(const auto first, RpcServer::Start("127.0.0.1:0", {&oracle}));
  v1::OracleService::Service other;
  ASSERT_OK_AND_ASSIGN(const auto second, RpcServer::Start("127.0.0.1:0", {&other}));
  EXPECT_THAT(first->address(), ::testing::MatchesRegex("127.0.0.1:[1-9][0-9]+"));
  EXPECT_NE(first->address(), second->address());
  EXPECT_EQ(Describe(first->address()).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(RpcServerTest, TakenPortIsAnError) {
  v1::OracleService::Service oracle;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
  v1::OracleService::Service other;
  EXPECT_THAT(RpcServer::Start(server->address(), {&other}),
              StatusIs(absl::StatusCode::kUnavailable, server->address()));
}

// HealthCheckResponse{status = 1 (SERVING)} is the bytes 08 01.
TEST(RpcServerTest, HealthIsServing) {
  v1::OracleService::Service oracle;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
  EXPECT_EQ(Call(server->address(), "/grpc.health.v1.Health/Check", ""), "\x08\x01");
}

// ServerReflectionRequest{list_services = "*"} is field 7, length-delimited.
TEST(RpcServerTest, ReflectionListsTheServices) {
  v1::OracleService::Service oracle;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
  const std::string answer =
      Call(server->address(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
           "\x3a\x01*");
  EXPECT_THAT(answer, HasSubstr("attune.v1.OracleService"));
  EXPECT_THAT(answer, HasSubstr("grpc.health.v1.Health"));
}

TEST(RpcServerTest, StopLetsCallsInFlightEnd) {
  SlowOracle oracle;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
  grpc::Status status;
  std::thread caller([&] { status = Describe(server->address()); });
  oracle.entered.WaitForNotification();
  std::thread stopper([&] { server->Stop(kPatience); });
  oracle.release.Notify();
  caller.join();
  stopper.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Describe(server->address()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(RpcServerTest, StopCancelsWhatOutlivesTheGrace) {
  SlowOracle oracle;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
  grpc::Status status;
  std::thread caller([&] {
    status = Describe(server->address());
    oracle.release.Notify();  // only now may the handler return
  });
  oracle.entered.WaitForNotification();
  server->Stop(absl::ZeroDuration());
  caller.join();
  EXPECT_FALSE(status.ok());
  server->Stop(absl::ZeroDuration());  // again is fine
}

TEST(ChannelTest, AbsentPeerIsUnavailableOrWaitedFor) {
  std::string address;
  {
    v1::OracleService::Service oracle;
    ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&oracle}));
    address = server->address();
  }
  EXPECT_EQ(Describe(address).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Describe(address, /*wait_for_ready=*/true, absl::Milliseconds(50)).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(AnnounceTest, LauncherReadsOneLine) {
  ::testing::internal::CaptureStdout();
  AnnounceAddresses("127.0.0.1:1", "127.0.0.1:2");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            "listening 127.0.0.1:1 metrics 127.0.0.1:2\n");
}

}  // namespace
}  // namespace attune
