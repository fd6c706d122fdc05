// absl::Time <-> protobuf.
#ifndef ATTUNE_COORDINATOR_TIMESTAMPS_H_
#define ATTUNE_COORDINATOR_TIMESTAMPS_H_

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace attune {

inline google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t nanos = absl::ToUnixNanos(time);
  timestamp.set_seconds(nanos / 1'000'000'000);
  timestamp.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return timestamp;
}

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_TIMESTAMPS_H_
