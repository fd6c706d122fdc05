// Matrix products of passes forward and backward, by the kernels of the sampler, over all piece
// threads. Tensors are fp32 on the CPU. With a precision of kBf16 both factors are rounded to that
// and sums stay fp32; no number depends on the number of threads.
//
// Shapes: R rows, K inputs, N outputs of a linear map.
#ifndef ATTUNE_WORKER_PRODUCTS_H_
#define ATTUNE_WORKER_PRODUCTS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/packed_matrix.h"
#include "model/tensor_type.h"

namespace attune {

// A right factor: [n, k] of any strides, for x W^T. Packed anew for each pass, which costs little
// beside the products of some hundred rows, and saves a copy of every weight.
PackedMatrix PackedFactor(const at::Tensor& weight_NK, TensorType precision);

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
