#include "worker/op_math.h"

#include <ATen/ATen.h>

namespace attune {

at::Tensor NewRows(int64_t rows, int64_t columns) {
  return at::empty({rows, columns}, at::TensorOptions().dtype(at::kFloat));
}

at::Tensor Rounded(const at::Tensor& values, TensorType precision) {
  return precision == TensorType::kBf16 ? values.to(at::kBFloat16).to(at::kFloat) : values;
}

at::Tensor CapWithSlope(double c, at::Tensor& x) {
  x.div_(c).tanh_();
  const at::Tensor slope = x.square().neg_().add_(1);
  x.mul_(c);
  return slope;
}

}  // namespace attune
