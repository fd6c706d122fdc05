#ifndef ATTUNE_WORKER_SCHEDULE_H_
#define ATTUNE_WORKER_SCHEDULE_H_

#include <cstdint>

#include "attune/v1/job.pb.h"

namespace attune {

// Learning rate of update `update` (from 0) of the `updates` of a round, as Hugging Face
// transformers computes it: linear and cosine rise from 0 during ceil(warmup_ratio * updates)
// updates and fall to 0 at the end; constant has no warm-up.
double LearningRate(const v1::TrainingSpec& spec, uint32_t update, uint32_t updates);

}  // namespace attune

#endif  // ATTUNE_WORKER_SCHEDULE_H_
