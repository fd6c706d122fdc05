#ifndef ATTUNE_WORKER_SCHEDULE_H_
#define ATTUNE_WORKER_SCHEDULE_H_

#include <cstdint>

#include "attune/v1/job.pb.h"

namespace attune {

// Learning rate of update `update` (from 0) of the `updates` of a round: linear and cosine rise in
// equal steps to the peak over the first ceil(warmup_ratio * updates) updates and fall towards 0 at
// the end; constant has no warm-up. As Hugging Face transformers computes it, but for the warm-up,
// which there begins with an update at rate 0: a round may be a single update, and must learn.
double LearningRate(const v1::TrainingSpec& spec, uint32_t update, uint32_t updates);

}  // namespace attune

#endif  // ATTUNE_WORKER_SCHEDULE_H_
