// Somebody's OracleService (oracle.proto), asked prompt by prompt.
#ifndef ATTUNE_ORACLE_REMOTE_JUDGE_H_
#define ATTUNE_ORACLE_REMOTE_JUDGE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/oracle.grpc.pb.h"
#include "attune/v1/oracle_spec.pb.h"
#include "oracle/judge_endpoint.h"
#include "oracle/judge.h"

namespace attune {

// What is known of one such service: its connection, and how it described itself last.
struct RemoteOracle {
  explicit RemoteOracle(const std::string& address);

  const std::unique_ptr<v1::OracleService::Stub> stub;
  absl::Mutex mu;
  v1::DescribeResponse description ABSL_GUARDED_BY(mu);
  bool described ABSL_GUARDED_BY(mu) = false;
};

// Connections are kept for the next judge. Thread-safe.
class RemoteOracles {
 public:
  explicit RemoteOracles(Endpoints& endpoints) : endpoints_(endpoints) {}

  // Asks the service to describe itself; a service that did so before may be away now. What the
  // judge sends has a spec that says kind remote and nothing else. The digest is that of the
  // address and of what Describe answered, empty where it answered none: then no verdict is kept.
  // A Judgment.failure is a judgement that failed, by a call that did not.
  //
  // `spec` is of kind remote with defaults filled in. UNAVAILABLE when the service does not answer,
  // INVALID_ARGUMENT when it refuses.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> Make(const v1::OracleSpec& spec);

 private:
  Endpoints& endpoints_;
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<RemoteOracle>> oracles_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_REMOTE_JUDGE_H_
