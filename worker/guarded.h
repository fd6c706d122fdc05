// The boundary to LibTorch, which throws.
#ifndef ATTUNE_WORKER_GUARDED_H_
#define ATTUNE_WORKER_GUARDED_H_

#include <cstdint>
#include <exception>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"

namespace attune {

// What `work`, on some pairs, returns; INTERNAL, naming them, for what it throws.
template <typename Work>
absl::Status Guarded(absl::Span<const v1::TrainingPair> pairs, const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    std::vector<uint64_t> indices;
    for (const v1::TrainingPair& pair : pairs) indices.push_back(pair.index());
    return absl::InternalError(
        absl::StrCat("computing on pairs ", absl::StrJoin(indices, ", "), ": ", error.what()));
  }
}

}  // namespace attune

#endif  // ATTUNE_WORKER_GUARDED_H_
