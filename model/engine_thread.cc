#include "model/engine_thread.h"

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune {

EngineThread::EngineThread(const EngineOptions& options, int64_t waiting_max)
    : options_(options), waiting_max_(waiting_max), thread_([this] { Loop(); }) {}

EngineThread::~EngineThread() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  thread_.join();
}

absl::StatusOr<uint64_t> EngineThread::Submit(EngineRequest request) {
  ATTUNE_RETURN_IF_ERROR(Engine::Check(options_, request));
  absl::MutexLock lock(&mu_);
  const int64_t waiting = state_.waiting + static_cast<int64_t>(submitted_.size());
  if (waiting >= waiting_max_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(waiting, " requests wait already; try again later"));
  }
  submitted_.emplace_back(++last_id_, std::move(request));
  return last_id_;
}

void EngineThread::Cancel(absl::Span<const uint64_t> ids) {
  if (ids.empty()) return;
  absl::MutexLock lock(&mu_);
  cancelled_.insert(cancelled_.end(), ids.begin(), ids.end());
  const uint64_t number = ++cancels_asked_;
  const auto done = [this, number]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return cancels_done_ >= number; };
  mu_.Await(absl::Condition(&done));
}

EngineThread::State EngineThread::state() const {
  absl::MutexLock lock(&mu_);
  State state = state_;
  state.waiting += static_cast<int64_t>(submitted_.size());
  return state;
}

bool EngineThread::HasWork() const {
  return stop_ || !idle_ || !submitted_.empty() || !cancelled_.empty();
}

void EngineThread::Loop() {
  Engine engine(options_);
  for (;;) {
    std::vector<std::pair<uint64_t, EngineRequest>> submitted;
    {
      absl::MutexLock lock(&mu_);
      state_ = {engine.counters(), engine.running(), engine.waiting(), engine.cache_use()};
      idle_ = engine.idle();
      mu_.Await(absl::Condition(this, &EngineThread::HasWork));
      if (stop_) return;
      submitted.swap(submitted_);
      for (auto& [id, request] : submitted) engine.Add(id, std::move(request));
      engine.Cancel(cancelled_);
      cancelled_.clear();
      cancels_done_ = cancels_asked_;
      state_.waiting = engine.waiting();
    }
    engine.Step();
  }
}

}  // namespace attune
