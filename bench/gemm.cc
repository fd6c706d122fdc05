#include "bench/gemm.h"

#include <omp.h>

#include "common/check.h"
#ifdef ATTUNE_BENCH_DNNL
#include "dnnl.h"
#endif
#ifdef ATTUNE_BENCH_OPENBLAS
#include "cblas.h"
#endif

namespace attune {
namespace {

#ifdef ATTUNE_BENCH_DNNL
void DnnlMultiply(const float* x, int64_t m, const float* w, int64_t n, int64_t k, float* y) {
  ATTUNE_CHECK(dnnl_sgemm('N', 'T', m, n, k, 1, x, k, w, k, 0, y, n) == dnnl_success);
}
#endif

#ifdef ATTUNE_BENCH_OPENBLAS
void OpenBlasMultiply(const float* x, int64_t m, const float* w, int64_t n, int64_t k, float* y) {
  const auto rows = static_cast<blasint>(m);
  const auto outputs = static_cast<blasint>(n);
  const auto inputs = static_cast<blasint>(k);
  if (m == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, outputs, inputs, 1, w, inputs, x, 1, 0, y, 1);
  } else {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, outputs, inputs, 1, x, inputs, w,
                inputs, 0, y, outputs);
  }
}
#endif

}  // namespace

std::vector<GemmLibrary> GemmLibraries() {
  omp_set_num_threads(1);
  std::vector<GemmLibrary> libraries;
#ifdef ATTUNE_BENCH_DNNL
  libraries.push_back({"oneDNN", DnnlMultiply});
#endif
#ifdef ATTUNE_BENCH_OPENBLAS
  openblas_set_num_threads(1);
  libraries.push_back({"OpenBLAS", OpenBlasMultiply});
#endif
  return libraries;
}

}  // namespace attune
