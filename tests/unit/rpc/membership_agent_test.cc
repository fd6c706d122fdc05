#include "rpc/membership_agent.h"

#include <memory>
#include <string>
#include <vector>

#include "attune/v1/membership.grpc.pb.h"
#include "gtest/gtest.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

// Writes down who registers and who leaves.
class FakeMembership : public v1::MembershipService::Service {
 public:
  explicit FakeMembership(double heartbeat_seconds) : heartbeat_seconds_(heartbeat_seconds) {}

  grpc::Status Register(grpc::ServerContext*, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    absl::MutexLock lock(&mu_);
    registered_.push_back(request->worker());
    response->set_heartbeat_seconds(heartbeat_seconds_);
    response->set_expiry_seconds(10 * heartbeat_seconds_);
    return grpc::Status::OK;
  }

  grpc::Status Leave(grpc::ServerContext*, const v1::LeaveRequest* request,
                     v1::LeaveResponse*) override {
    absl::MutexLock lock(&mu_);
    left_.push_back(request->id());
    return grpc::Status::OK;
  }

  // Waits until `count` registrations were seen; the last of them.
  v1::WorkerInfo AwaitRegistrations(size_t count) {
    absl::MutexLock lock(&mu_);
    auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return registered_.size() >= count; };
    if (!mu_.AwaitWithTimeout(absl::Condition(&enough), kPatience)) return {};
    return registered_.back();
  }

  std::vector<std::string> left() {
    absl::MutexLock lock(&mu_);
    return left_;
  }

 private:
  const double heartbeat_seconds_;
  absl::Mutex mu_;
  std::vector<v1::WorkerInfo> registered_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> left_ ABSL_GUARDED_BY(mu_);
};

v1::WorkerInfo Worker() {
  v1::WorkerInfo worker;
  worker.set_id("w-1");
  worker.set_role(v1::WORKER_ROLE_ROLLOUT);
  worker.set_address("127.0.0.1:7071");
  return worker;
}

TEST(MembershipAgentTest, RegistersAndKeepsBeating) {
  FakeMembership membership(0.01);
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&membership}));
  const MembershipAgent agent(server->address(), Worker());
  const v1::WorkerInfo seen = membership.AwaitRegistrations(5);
  EXPECT_EQ(seen.id(), "w-1");
  EXPECT_EQ(seen.role(), v1::WORKER_ROLE_ROLLOUT);
  EXPECT_EQ(seen.address(), "127.0.0.1:7071");
}

TEST(MembershipAgentTest, NewPolicyIsToldAtOnce) {
  FakeMembership membership(3600);  // the next regular heartbeat never comes
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&membership}));
  MembershipAgent agent(server->address(), Worker());
  EXPECT_EQ(membership.AwaitRegistrations(1).policy().digest(), "");
  v1::PolicyVersion policy;
  policy.set_round(2);
  policy.set_digest("d2");
  agent.SetPolicy(policy);
  const v1::WorkerInfo seen = membership.AwaitRegistrations(2);
  EXPECT_EQ(seen.policy().round(), 2u);
  EXPECT_EQ(seen.policy().digest(), "d2");
}

TEST(MembershipAgentTest, LeavesAtTheEnd) {
  FakeMembership membership(3600);
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&membership}));
  {
    const MembershipAgent agent(server->address(), Worker());
    membership.AwaitRegistrations(1);
    EXPECT_TRUE(membership.left().empty());
  }
  EXPECT_EQ(membership.left(), std::vector<std::string>{"w-1"});
}

TEST(MembershipAgentTest, RegistersAgainWithARestartedCoordinator) {
  FakeMembership before(0.01);
  FakeMembership after(0.01);
  ASSERT_OK_AND_ASSIGN(auto server, RpcServer::Start("127.0.0.1:0", {&before}));
  const std::string address = server->address();
  MembershipAgent agent(address, Worker());
  EXPECT_EQ(before.AwaitRegistrations(1).id(), "w-1");
  server.reset();

  v1::PolicyVersion policy;
  policy.set_digest("while away");
  agent.SetPolicy(policy);
  ASSERT_OK_AND_ASSIGN(server, RpcServer::Start(address, {&after}));
  EXPECT_EQ(after.AwaitRegistrations(1).policy().digest(), "while away");
}

TEST(MembershipAgentTest, EndsWithoutACoordinator) {
  std::string address;
  {
    FakeMembership membership(1);
    ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&membership}));
    address = server->address();
  }
  const MembershipAgent agent(address, Worker());  // must come back from its destructor
}

}  // namespace
}  // namespace attune
