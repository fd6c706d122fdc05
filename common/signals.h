// SIGINT and SIGTERM as a value to wait for, instead of code inside a signal handler.
#ifndef ATTUNE_COMMON_SIGNALS_H_
#define ATTUNE_COMMON_SIGNALS_H_

#include "absl/time/time.h"

namespace attune {

// Makes SIGINT and SIGTERM wait to be collected, in this thread and all that it starts later; call
// it first in main(), before any thread exists. SIGPIPE is ignored.
void BlockStopSignals();

// Waits until a stop signal arrives and returns it, or 0 after `timeout`. One thread at a time.
int WaitForStopSignal(absl::Duration timeout = absl::InfiniteDuration());

// In a child between fork and exec: signals are delivered as usual again.
void UnblockStopSignals();

}  // namespace attune

#endif  // ATTUNE_COMMON_SIGNALS_H_
