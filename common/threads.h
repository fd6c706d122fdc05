// Work shared out over threads, for tools that have the machine to themselves and for servers.
#ifndef ATTUNE_COMMON_THREADS_H_
#define ATTUNE_COMMON_THREADS_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace attune {

// Runs work(0) .. work(count - 1), each once and in no order, on at most `threads` threads, of
// which the caller's is one. Returns when all are done.
void RunInThreads(size_t count, int threads, absl::FunctionRef<void(size_t)> work);

// At least 1.
int ProcessorCount();

}  // namespace attune

#endif  // ATTUNE_COMMON_THREADS_H_
