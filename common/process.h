// What a process must set up before it does anything else.
#ifndef ATTUNE_COMMON_PROCESS_H_
#define ATTUNE_COMMON_PROCESS_H_

#include <string>

namespace attune {

// For processes that hold tensors; first statement of main(). glibc would otherwise give big
// blocks back to the kernel and fault them in again at every step (1.5 times slower training).
void KeepLargeAllocations();

// The kernel ends this process with `signal` when its parent dies: nothing survives a cluster.
void DieWithParent(int signal);

// Seldom-used identity: host name, process id and start time, unique per process start.
std::string UniqueProcessId();

// Value of an environment variable, or `fallback` when it is not set.
std::string Environment(const char* name, const std::string& fallback);

// Directory of the running binary.
std::string BinaryDirectory();

}  // namespace attune

#endif  // ATTUNE_COMMON_PROCESS_H_
