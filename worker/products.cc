#include "worker/products.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "common/check.h"
#include "model/backward_kernels.h"
#include "model/kernels.h"
#include "worker/op_math.h"
#include "worker/pieces.h"

namespace attune {
namespace {

constexpr int64_t kPieceRows = 256;
constexpr int64_t kPieceBytes = 256 * 1024;  // of panels, which stay in the cache over the rows
constexpr int64_t kGradientRows = 128;
constexpr int64_t kGradientPanels = 8;
constexpr int64_t kTransposedRows = 64;  // at a time

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

Products ProductsOf(TensorType precision) {
  return precision == TensorType::kBf16 ? Products::kBf16 : Products::kFp32;
}

// Columns [begin, end) of a [k, m] become rows of out.
void CopyTransposed(const float* a, int64_t k, int64_t stride, int64_t begin, int64_t end,
                    bool pairs, uint32_t* out) {
  if (!pairs) {
    return Transpose(a + begin, k, end - begin, stride,
                     reinterpret_cast<float*>(out + begin * k), k);
  }
  const int64_t width = (k + 1) / 2;
  std::vector<uint32_t> rounded(width * (end - begin));
  for (int64_t i = 0; i < width; ++i) {
    const float* const even = a + 2 * i * stride + begin;
    InterleavePairs(even, 2 * i + 1 < k ? even + stride : nullptr, end - begin,
                    rounded.data() + i * (end - begin));
  }
  Transpose(reinterpret_cast<const float*>(rounded.data()), width, end - begin, end - begin,
            reinterpret_cast<float*>(out + begin * width), width);
}

// work(rows, panels) for parts of a product of `rows` rows.
template <class Work>
void ForTiles(int64_t rows, int64_t rows_of_tile, int64_t panels, int64_t panels_of_tile,
              const Work& work) {
  const int64_t across = Pieces(panels, panels_of_tile);
  ForPieces(Pieces(rows, rows_of_tile) * across, 1, [&](int64_t tile, int64_t) {
    const int64_t row = tile / across * rows_of_tile;
    const int64_t panel = tile % across * panels_of_tile;
    work(PanelRange{row, std::min(rows, row + rows_of_tile)},
         PanelRange{panel, std::min(panels, panel + panels_of_tile)});
  });
}

int64_t PanelsOfPiece(const PackedMatrix& w) {
  return std::max<int64_t>(1, kPieceBytes / w.panel_bytes());
}

}  // namespace

PackedMatrix PackedFactor(const at::Tensor& weight_NK, TensorType precision) {
  const MatrixShape shape = {weight_NK.size(0), weight_NK.size(1), weight_NK.stride(0),
                             weight_NK.stride(1)};
  PackedMatrix packed(shape.n, shape.k, precision, ProductsOf(precision));
  const TensorView values = ViewOf(weight_NK.data_ptr<float>());
  ForPieces(packed.panel_count(), PanelsOfPiece(packed), [&](int64_t begin, int64_t end) {
    packed.FillPanels(values, shape, {begin, end});
  });
  return packed;
}

LeftFactor::LeftFactor(const at::Tensor& a, TensorType precision)
    : rows_(a.size(0)),
      width_(precision == TensorType::kBf16 ? (a.size(1) + 1) / 2 : a.size(1)),
      values_(a) {
  const bool pairs = precision == TensorType::kBf16;
  const int64_t k = a.size(1);
  const bool by_rows = a.stride(1) == 1 || k == 1;
  if (!pairs && by_rows && (a.stride(0) == k || rows_ == 1)) return;
  ATTUNE_CHECK(by_rows || a.stride(0) == 1);
  copy_.resize(rows_ * width_);
  const float* const values = a.data_ptr<float>();
  ForPieces(rows_, kTransposedRows, [&](int64_t begin, int64_t end) {
    if (!by_rows) return CopyTransposed(values, k, a.stride(1), begin, end, pairs, copy_.data());
    for (int64_t row = begin; row < end; ++row) {
      const float* const from = values + row * a.stride(0);
      uint32_t* const to = copy_.data() + row * width_;
      if (pairs) {
        RoundPairs(from, 1, k, to);
      } else {
        std::copy_n(from, k, reinterpret_cast<float*>(to));
      }
    }
  });
}

const void* LeftFactor::Row(int64_t row) const {
  if (!copy_.empty()) return copy_.data() + row * width_;
  return values_.data_ptr<float>() + row * width_;
}

at::Tensor MatMulRows(const at::Tensor& x_RK, const PackedMatrix& w) {
  const LeftFactor x(x_RK, w.products() == Products::kBf16 ? TensorType::kBf16 : TensorType::kF32);
  at::Tensor y_RN = NewRows(x.rows(), w.n());
  float* const y = y_RN.data_ptr<float>();
  ForTiles(x.rows(), kPieceRows, w.panel_count(), PanelsOfPiece(w),
           [&](PanelRange rows, PanelRange panels) {
             MatMulPanels(x.Row(rows.begin), rows.end - rows.begin, w, panels,
                          y + rows.begin * w.n());
           });
  return y_RN;
}

void AddMatMulRows(const at::Tensor& x_RK, const PackedMatrix& w, TensorType precision,
                   const at::Tensor& sums_RN) {
  const LeftFactor x(x_RK, precision);
  double* const sums = sums_RN.data_ptr<double>();
  ForTiles(x.rows(), kPieceRows, w.panel_count(), PanelsOfPiece(w),
           [&](PanelRange rows, PanelRange panels) {
             AddMatMulPanels(x.Row(rows.begin), rows.end - rows.begin, w, panels,
                             sums + rows.begin * w.n(), w.n());
           });
}

void AddOuterProducts(const at::Tensor& dy_RN, const at::Tensor& x_RK, const at::Tensor& examples,
                      TensorType precision, const at::Tensor& gradient_NK) {
  if (gradient_NK.stride(1) != 1) {
    return AddOuterProducts(x_RK, dy_RN, examples, precision, gradient_NK.t());
  }
  struct Factors {
    LeftFactor dy_NR;
    PackedMatrix x_KR;
  };
  std::vector<Factors> factors;
  const int64_t* const offsets = examples.data_ptr<int64_t>();
  for (int64_t e = 0; e + 1 < examples.size(0); ++e) {
    const int64_t rows = offsets[e + 1] - offsets[e];
    if (rows == 0) continue;
    factors.push_back({LeftFactor(dy_RN.narrow(0, offsets[e], rows).t(), precision),
                       PackedFactor(x_RK.narrow(0, offsets[e], rows).t(), precision)});
  }
  if (factors.empty()) return;
  double* const gradient = gradient_NK.data_ptr<double>();
  const int64_t stride = gradient_NK.stride(0);
  ForTiles(dy_RN.size(1), kGradientRows, factors[0].x_KR.panel_count(), kGradientPanels,
           [&](PanelRange rows, PanelRange panels) {
             for (const Factors& of : factors) {
               AddMatMulPanels(of.dy_NR.Row(rows.begin), rows.end - rows.begin, of.x_KR, panels,
                               gradient + rows.begin * stride, stride);
             }
           });
}

void AddRows(const at::Tensor& dy_RN, const at::Tensor& gradient_N) {
  const int64_t width = dy_RN.size(1);
  const float* const dy = dy_RN.data_ptr<float>();
  double* const gradient = gradient_N.data_ptr<double>();
  ForPieces(width, kPieceRows, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < dy_RN.size(0); ++row) {
      for (int64_t i = begin; i < end; ++i) gradient[i] += dy[row * width + i];
    }
  });
}

}  // namespace attune
