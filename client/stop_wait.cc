#include "client/stop_wait.h"

#include <condition_variable>
#include <mutex>

namespace attune {

bool WaitUnlessStopped(std::stop_token stop, absl::Duration duration) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock<std::mutex> lock(mutex);
  stopped.wait_for(lock, stop, absl::ToChronoMilliseconds(duration), [] { return false; });
  return !stop.stop_requested();
}

}  // namespace attune
