// Keeps one process known to the coordinator: a thread of its own that registers, repeats it as
// heartbeat, registers again with a coordinator that was restarted, and leaves at the end.
#ifndef ATTUNE_RPC_MEMBERSHIP_AGENT_H_
#define ATTUNE_RPC_MEMBERSHIP_AGENT_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/membership.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

namespace attune {

class MembershipAgent {
 public:
  // Starts at once. `coordinator` is host:port; it may be away for any time.
  MembershipAgent(const std::string& coordinator, v1::WorkerInfo worker);
  ~MembershipAgent();  // tells the coordinator that this worker leaves

  // What the worker holds, told with the next heartbeat, which is sent at once.
  void SetPolicy(const v1::PolicyVersion& policy);

 private:
  void Run();
  // One heartbeat; how long to wait before the next.
  absl::Duration Heartbeat(const v1::WorkerInfo& worker);
  bool StoppedOrChanged() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopped_ || changed_; }

  const std::string coordinator_;
  const std::shared_ptr<grpc::Channel> channel_;
  bool connected_ = false;  // used by the thread alone: logs a change once
  absl::Mutex mu_;
  v1::WorkerInfo worker_ ABSL_GUARDED_BY(mu_);
  bool changed_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mu_) = nullptr;  // the heartbeat in flight
  std::thread thread_;  // last: it uses the members above
};

}  // namespace attune

#endif  // ATTUNE_RPC_MEMBERSHIP_AGENT_H_
