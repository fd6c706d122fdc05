// Waiting that a stop request ends.
#ifndef ATTUNE_CLIENT_STOP_WAIT_H_
#define ATTUNE_CLIENT_STOP_WAIT_H_

#include <stop_token>

#include "absl/time/time.h"

namespace attune {

// Waits for `duration`; returns at once when `stop` is requested. True if it was not.
bool WaitUnlessStopped(std::stop_token stop, absl::Duration duration);

}  // namespace attune

#endif  // ATTUNE_CLIENT_STOP_WAIT_H_
