#include "worker/schedule.h"

#include <algorithm>
#include <cmath>

namespace attune {

double LearningRate(const v1::TrainingSpec& spec, const SchedulePlace& place) {
  const bool whole_job = spec.lr_scheduler_span() == v1::LR_SCHEDULER_SPAN_JOB;
  const double before = whole_job ? double{place.updates} * (place.round - 1) : 0;
  const double update = before + place.update;
  const double updates = double{place.updates} * (whole_job ? place.rounds : 1);
  const double peak = spec.learning_rate();
  if (spec.lr_scheduler_type() == v1::LR_SCHEDULER_TYPE_CONSTANT) return peak;
  const double warmup = std::ceil(spec.warmup_ratio() * updates);
  if (update < warmup) return peak * (update + 1) / warmup;
  const double progress = (update - warmup) / std::max(1.0, updates - warmup);
  if (spec.lr_scheduler_type() == v1::LR_SCHEDULER_TYPE_LINEAR) return peak * (1 - progress);
  return peak * 0.5 * (1 + std::cos(M_PI * progress));
}

}  // namespace attune
