#include "rpc/membership_agent.h"

#include <utility>

#include "attune/v1/membership.grpc.pb.h"
#include "common/log.h"
#include "rpc/channel.h"

namespace attune {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(2);
constexpr absl::Duration kRetryAfter = absl::Milliseconds(300);

}  // namespace

MembershipAgent::MembershipAgent(const std::string& coordinator, v1::WorkerInfo worker)
    : coordinator_(coordinator),
      channel_(MakeChannel(coordinator)),
      worker_(std::move(worker)),
      thread_([this] { Run(); }) {}

MembershipAgent::~MembershipAgent() {
  v1::LeaveRequest request;
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    if (call_ != nullptr) call_->TryCancel();
    request.set_id(worker_.id());
  }
  thread_.join();
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(1));
  v1::LeaveResponse response;
  // Best effort: a coordinator that does not hear it notices the silence.
  v1::MembershipService::NewStub(channel_)->Leave(&context, request, &response);
}

void MembershipAgent::SetPolicy(const v1::PolicyVersion& policy) {
  absl::MutexLock lock(&mu_);
  *worker_.mutable_policy() = policy;
  changed_ = true;
}

void MembershipAgent::Run() {
  while (true) {
    v1::WorkerInfo worker;
    {
      absl::MutexLock lock(&mu_);
      if (stopped_) return;
      changed_ = false;
      worker = worker_;
    }
    const absl::Duration pause = Heartbeat(worker);
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(this, &MembershipAgent::StoppedOrChanged), pause);
  }
}

absl::Duration MembershipAgent::Heartbeat(const v1::WorkerInfo& worker) {
  v1::RegisterRequest request;
  *request.mutable_worker() = worker;
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout, /*wait_for_ready=*/true);
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return absl::ZeroDuration();
    call_ = &context;
  }
  v1::RegisterResponse response;
  const grpc::Status status =
      v1::MembershipService::NewStub(channel_)->Register(&context, request, &response);
  {
    absl::MutexLock lock(&mu_);
    call_ = nullptr;
    if (stopped_) return absl::ZeroDuration();
  }
  if (status.ok() != connected_) {
    connected_ = status.ok();
    if (connected_) {
      LogInfo("registered with the coordinator at ", coordinator_);
    } else {
      LogWarning("lost the coordinator at ", coordinator_, ": ", status.error_message());
    }
  }
  return status.ok() ? absl::Seconds(response.heartbeat_seconds()) : kRetryAfter;
}

}  // namespace attune
