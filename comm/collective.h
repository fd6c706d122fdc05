// What trainer ranks say to each other: sums and gathers of buffers in host memory.
#ifndef ATTUNE_COMM_COLLECTIVE_H_
#define ATTUNE_COMM_COLLECTIVE_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace attune {

// Every rank calls the same operations in the same order with equal sizes. The result of a
// reduction is the same on every rank and the same in every run with as many ranks. Not
// thread-safe: one thread per rank.
class Collective {
 public:
  virtual ~Collective() = default;

  virtual int rank() const = 0;  // 0 .. size()-1
  virtual int size() const = 0;

  virtual absl::Status AllReduceSum(absl::Span<double> values) = 0;
  // `full` is size() slices of equal length. On rank r the r-th becomes the sum of everybody's
  // r-th; the others stay.
  virtual absl::Status ReduceScatterSum(absl::Span<double> full) = 0;
  // The inverse: rank r's slice becomes the r-th of everybody's `full`; it may lie there already.
  virtual absl::Status AllGather(absl::Span<const float> slice, absl::Span<float> full) = 0;
  virtual absl::Status Barrier() = 0;

  // False once an operation has failed: the ranks no longer agree on what comes next and must all
  // be started again.
  virtual bool healthy() const = 0;
};

// Runs `body` on `ranks` threads of this process, each with its rank's collective, and returns
// when all are done; the error of the lowest rank, if any. A rank that returns while others wait
// for it in an operation makes that operation ABORTED. For tests and single-process use.
absl::Status RunLocalRanks(int ranks, const std::function<absl::Status(Collective&)>& body);

// MPI_COMM_WORLD of this process: initialises MPI (thread multiple) now and finalises it when
// destroyed. A process not started by mpirun is rank 0 of 1. Waiting sleeps instead of spinning; an
// operation that takes longer than `timeout` is DEADLINE_EXCEEDED with its name and number and the
// ranks that have not come to it, and the process must then end. Sums are taken in the order of the
// ranks, as RunLocalRanks does. (comm/collective_mpi.cc)
inline constexpr absl::Duration kCollectiveTimeout = absl::Minutes(10);
[[nodiscard]] absl::StatusOr<std::unique_ptr<Collective>> MakeMpiCollective(
    absl::Duration timeout = kCollectiveTimeout);

}  // namespace attune

#endif  // ATTUNE_COMM_COLLECTIVE_H_
