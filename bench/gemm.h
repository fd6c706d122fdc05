// The fp32 matrix multiplications that the benchmarks compare with: those of the libraries that the
// build found.
#ifndef ATTUNE_BENCH_GEMM_H_
#define ATTUNE_BENCH_GEMM_H_

#include <cstdint>
#include <vector>

namespace attune {

struct GemmLibrary {
  const char* name;
  // y[m, n] = x[m, k] W^T, W [n, k], all row-major and without gaps. On one thread.
  void (*multiply)(const float* x, int64_t m, const float* w, int64_t n, int64_t k, float* y);
};

// None, oneDNN, OpenBLAS, or both.
std::vector<GemmLibrary> GemmLibraries();

}  // namespace attune

#endif  // ATTUNE_BENCH_GEMM_H_
