// Threads inside one rank that do not change numbers: work is cut into pieces whose size depends on
// the work alone, and each piece is computed by one thread, however many threads there are.
// (LibTorch and BLAS cut by the number of threads, and their sums change with it; so both stay at
// one.)
#ifndef ATTUNE_WORKER_PIECES_H_
#define ATTUNE_WORKER_PIECES_H_

#include <cstdint>
#include <functional>

namespace attune {

// Threads that ForPieces uses from now on, in the whole process; 1 at first. Sets LibTorch to one
// thread of its own for the calling thread and those that start later.
void SetPieceThreads(int threads);

// Calls work(begin, end) for the pieces [0, size), [size, 2 size), ... of [0, count), without
// gradients, and returns when all are done. What a piece throws is thrown again here.
void ForPieces(int64_t count, int64_t size, const std::function<void(int64_t, int64_t)>& work);

}  // namespace attune

#endif  // ATTUNE_WORKER_PIECES_H_
