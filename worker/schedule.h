#ifndef ATTUNE_WORKER_SCHEDULE_H_
#define ATTUNE_WORKER_SCHEDULE_H_

#include <cstdint>

#include "attune/v1/job.pb.h"

namespace attune {

// Update `update` (from 0) of the `updates` of round `round` (from 1) of `rounds`.
struct SchedulePlace {
  uint32_t update;
  uint32_t updates;
  uint32_t round = 1;
  uint32_t rounds = 1;
};

// Learning rate of an update. Linear and cosine rise in equal steps to the peak over the first
// ceil(warmup_ratio * updates) updates of the round and fall towards 0 at its end; constant has no
// warm-up. With lr_scheduler_span job all rounds count as one, of `rounds` times the updates that
// this round has: what later rounds will have is not known. As Hugging Face transformers computes
// it, but for the warm-up, which there begins with an update at rate 0: a round may be a single
// update, and must learn.
double LearningRate(const v1::TrainingSpec& spec, const SchedulePlace& place);

}  // namespace attune

#endif  // ATTUNE_WORKER_SCHEDULE_H_
