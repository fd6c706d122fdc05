#include "worker/pieces.h"

#include <algorithm>
#include <atomic>
#include <exception>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace attune {
namespace {

std::atomic<int> piece_threads = 1;

}  // namespace

void SetPieceThreads(int threads) {
  piece_threads = threads;
  at::set_num_threads(1);
}

void ForPieces(int64_t count, int64_t size, const std::function<void(int64_t, int64_t)>& work) {
  const int64_t pieces = (count + size - 1) / size;
  [[maybe_unused]] const int threads = static_cast<int>(std::min<int64_t>(piece_threads, pieces));
  std::exception_ptr failure;
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    try {
      const at::NoGradGuard no_gradients;
      work(piece * size, std::min(count, (piece + 1) * size));
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace attune
