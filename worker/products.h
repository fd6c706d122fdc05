// Matrix products of passes forward and backward, by the kernels of the sampler, over all piece
// threads. Tensors are fp32 on the CPU. With a precision of kBf16 both factors are rounded to that
// and sums stay fp32; no number depends on the number of threads.
//
// Shapes: R rows, K inputs, N outputs of a linear map.
#ifndef ATTUNE_WORKER_PRODUCTS_H_
#define ATTUNE_WORKER_PRODUCTS_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/packed_matrix.h"
#include "model/tensor_type.h"

namespace attune {

// A right factor: [n, k] of any strides, for x W^T. Packed anew for each pass, which costs little
// beside the products of some hundred rows, and saves a copy of every weight.
PackedMatrix PackedFactor(const at::Tensor& weight_NK, TensorType precision);

// A left factor as the kernels read it: rows of k values one after the other, or of pairs of bf16.
class LeftFactor {
 public:
  // Of a [m, k]; one of its strides is 1. Borrows what lies as it should.
  LeftFactor(const at::Tensor& a, TensorType precision);

  int64_t rows() const { return rows_; }
  const void* Row(int64_t row) const;

 private:
  const int64_t rows_;
  const int64_t width_;  // of a row, in elements of 4 bytes
  const at::Tensor values_;  // kept alive
  std::vector<uint32_t> copy_;  // empty: the values themselves
};

// x W^T [R, N]. The numbers of a row are those of the sampler, whatever rows it is computed with.
at::Tensor MatMulRows(const at::Tensor& x_RK, const PackedMatrix& w);
// sums [R, N] of doubles += x W^T.
void AddMatMulRows(const at::Tensor& x_RK, const PackedMatrix& w, TensorType precision,
                   const at::Tensor& sums_RN);

// gradient [N, K] of doubles += dy^T x, where one of its strides is 1. What each example adds is
// rounded to fp32 by itself: rows [examples[e], examples[e + 1]) are of example e (int64).
void AddOuterProducts(const at::Tensor& dy_RN, const at::Tensor& x_RK, const at::Tensor& examples,
                      TensorType precision, const at::Tensor& gradient_NK);

// gradient [N] of doubles += the sum of the rows.
void AddRows(const at::Tensor& dy_RN, const at::Tensor& gradient_N);

}  // namespace attune

#endif  // ATTUNE_WORKER_PRODUCTS_H_
