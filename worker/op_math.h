// Arithmetic that the operations under autograd share. Tensors are fp32 on the CPU. Work is cut
// into pieces (worker/pieces.h), so that no number depends on the number of threads.
#ifndef ATTUNE_WORKER_OP_MATH_H_
#define ATTUNE_WORKER_OP_MATH_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/kernels.h"
#include "model/tensor_type.h"

namespace attune {

// Rows of a piece for the kernels, whose numbers do not depend on it.
inline constexpr int64_t kKernelRows = 32;

// Not initialised.
at::Tensor NewRows(int64_t rows, int64_t columns);

// y [R, N] = x W^T by the kernel of the sampler, for forward passes; x contiguous.
void MatMulRows(const at::Tensor& x_RK, const PackedMatrix& packed, float* y);

// c = a b + beta c by BLAS, for backward passes; views of any strides.
void Multiply(const at::Tensor& a, const at::Tensor& b, double beta, const at::Tensor& c);
at::Tensor Product(const at::Tensor& a, const at::Tensor& b);

// `values` themselves unless `precision` is kBf16.
at::Tensor Rounded(const at::Tensor& values, TensorType precision);

// x = c tanh(x / c); returns the derivative.
at::Tensor CapWithSlope(double c, at::Tensor& x);

}  // namespace attune

#endif  // ATTUNE_WORKER_OP_MATH_H_
