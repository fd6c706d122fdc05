// The boundary to LibTorch, which throws.
#ifndef ATTUNE_WORKER_GUARDED_H_
#define ATTUNE_WORKER_GUARDED_H_

#include <exception>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "attune/v1/trainer.pb.h"

namespace attune {

// What `work`, on a pair, returns; INTERNAL, naming the pair, for what it throws.
template <typename Work>
absl::Status Guarded(const v1::TrainingPair& pair, const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("computing on pair ", pair.index(), ": ", error.what()));
  }
}

}  // namespace attune

#endif  // ATTUNE_WORKER_GUARDED_H_
