#include "worker/op_math.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "worker/pieces.h"

namespace attune {
namespace {

// A tile of a BLAS product: large, because BLAS rearranges the factors anew for each.
constexpr int64_t kProductRows = 256;
constexpr int64_t kProductColumns = 512;

}  // namespace

at::Tensor NewRows(int64_t rows, int64_t columns) {
  return at::empty({rows, columns}, at::TensorOptions().dtype(at::kFloat));
}

void MatMulRows(const at::Tensor& x_RK, const PackedMatrix& packed, float* y) {
  const float* x = x_RK.data_ptr<float>();
  ForPieces(x_RK.size(0), kKernelRows, [&](int64_t begin, int64_t end) {
    MatMul(x + begin * packed.k(), end - begin, packed, y + begin * packed.n());
  });
}

void Multiply(const at::Tensor& a, const at::Tensor& b, double beta, const at::Tensor& c) {
  const int64_t tiles_across = (c.size(1) + kProductColumns - 1) / kProductColumns;
  const int64_t tiles_down = (c.size(0) + kProductRows - 1) / kProductRows;
  ForPieces(tiles_down * tiles_across, 1, [&](int64_t tile, int64_t) {
    const int64_t row = tile / tiles_across * kProductRows;
    const int64_t column = tile % tiles_across * kProductColumns;
    const int64_t rows = std::min(kProductRows, c.size(0) - row);
    const int64_t columns = std::min(kProductColumns, c.size(1) - column);
    c.narrow(0, row, rows)
        .narrow(1, column, columns)
        .addmm_(a.narrow(0, row, rows), b.narrow(1, column, columns), beta);
  });
}

at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor c = NewRows(a.size(0), b.size(1));
  Multiply(a, b, /*beta=*/0, c);
  return c;
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
