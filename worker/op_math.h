// Arithmetic that the operations under autograd share. Tensors are fp32 on the CPU.
#ifndef ATTUNE_WORKER_OP_MATH_H_
#define ATTUNE_WORKER_OP_MATH_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/tensor_type.h"

namespace attune {

// Rows of a piece for the kernels, whose numbers do not depend on it.
inline constexpr int64_t kKernelRows = 32;

// Not initialised.
at::Tensor NewRows(int64_t rows, int64_t columns);

// `values` themselves unless `precision` is kBf16.
at::Tensor Rounded(const at::Tensor& values, TensorType precision);

// x = c tanh(x / c); returns the derivative.
at::Tensor CapWithSlope(double c, at::Tensor& x);

}  // namespace attune

#endif  // ATTUNE_WORKER_OP_MATH_H_
