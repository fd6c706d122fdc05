// Who is alive. Kept in memory alone: workers register again with a coordinator that restarted.
#ifndef ATTUNE_COORDINATOR_MEMBERSHIP_H_
#define ATTUNE_COORDINATOR_MEMBERSHIP_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/membership.pb.h"

namespace attune {

inline constexpr absl::Duration kHeartbeatEvery = absl::Seconds(1);
inline constexpr absl::Duration kExpiresAfter = absl::Seconds(6);
inline constexpr size_t kWorkersMax = 10'000;

// Thread-safe.
class Membership {
 public:
  // Adds or renews. INVALID_ARGUMENT for an incomplete worker, RESOURCE_EXHAUSTED beyond
  // kWorkersMax.
  absl::Status Register(v1::WorkerInfo worker);
  void Leave(const std::string& id);

  // Whoever was heard of within kExpiresAfter, in order of role, rank and id.
  std::vector<v1::WorkerInfo> Live() const;
  std::vector<v1::WorkerInfo> Live(v1::WorkerRole role) const;

  // All ranks, in order, of a gang that is complete; empty when there is none. Of several complete
  // gangs the one that registered last.
  std::vector<v1::WorkerInfo> LiveGang() const;

 private:
  struct Entry {
    v1::WorkerInfo worker;
    absl::Duration heard;    // monotonic
    absl::Duration arrived;  // monotonic
  };

  mutable absl::Mutex mu_;
  std::map<std::string, Entry> workers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_MEMBERSHIP_H_
