// Gets the weights of a policy from where they are, and believes nothing that does not verify.
#ifndef ATTUNE_ROLLOUT_WEIGHT_CLIENT_H_
#define ATTUNE_ROLLOUT_WEIGHT_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/types.pb.h"
#include "model/policy.h"
#include "model/tensor_type.h"

namespace attune {

struct FetchedWeights {
  std::vector<float> values;  // the whole vector of model/weights.h
  uint64_t bytes = 0;         // that came over the wire
};

// Pulls the slices of all trainer ranks at once, one thread each. `count` is the size of the
// vector. Each rank must send one of the equal slices of weight.proto (in any order of ranks) from
// its beginning to its end, and every slice must come once.
// DATA_LOSS: a chunk has another checksum, size or place than it should; a slice is missing.
// UNAVAILABLE, NOT_FOUND, DEADLINE_EXCEEDED: a rank is away, does not hold the version, or took
// longer than five minutes. The first failure ends all transfers.
[[nodiscard]] absl::StatusOr<FetchedWeights> FetchWeights(const v1::PolicyVersion& version,
                                                          const std::vector<std::string>& addresses,
                                                          int64_t count);

struct LoadedPolicy {
  std::shared_ptr<const Policy> policy;
  uint64_t bytes = 0;  // that came over the wire
};

// kF32 or kBf16.
TensorType TensorTypeOf(v1::Precision precision);

// The policy of `source`: from its trainer ranks or, when one of them is UNAVAILABLE, NOT_FOUND or
// DEADLINE_EXCEEDED, or none is given, from checkpoint_path or, for round 0, model_path. It
// computes in `precision`; the digest is that of the weights before they are rounded to that.
// DATA_LOSS: what arrived, from wherever, has another digest than source.version; both are named.
[[nodiscard]] absl::StatusOr<LoadedPolicy> LoadPolicy(const v1::PolicySource& source,
                                                      TensorType precision);

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_WEIGHT_CLIENT_H_
