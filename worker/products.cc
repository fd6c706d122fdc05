#include "worker/products.h"

#include <algorithm>
#include <cstdint>
#include <vector>

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
constexpr int64_t kFilledRows = 64;  // at a time

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

Products ProductsOf(TensorType precision) {
  return precision == TensorType::kBf16 ? Products::kBf16 : Products::kFp32;
}

// A left factor a [m, k], one of whose strides is 1, as the kernels read it: rows of k values one
// after the other, or of pairs of bf16. Borrows what lies as it should; else it is to be filled.
class LeftFactor {
 public:
  LeftFactor(const at::Tensor& a, TensorType precision)
      : pairs_(precision == TensorType::kBf16),
        by_rows_(a.stride(1) == 1 || a.size(1) == 1),
        width_(pairs_ ? (a.size(1) + 1) / 2 : a.size(1)),
        values_(a) {
    ATTUNE_CHECK(by_rows_ || a.stride(0) == 1);
    const bool as_it_should = !pairs_ && by_rows_ && (a.stride(0) == width_ || rows() == 1);
    if (!as_it_should) copy_ = at::empty({rows(), width_}, at::kInt);
  }

  int64_t rows() const { return values_.size(0); }
  bool borrows() const { return !copy_.defined(); }
  const void* Row(int64_t row) const {
    return borrows() ? static_cast<const void*>(values_.data_ptr<float>() + row * width_)
                     : copy_.data_ptr<int>() + row * width_;
  }

  // Rows [begin, end); several threads may fill different ones.
  void Fill(int64_t begin, int64_t end) {
    const float* const values = values_.data_ptr<float>();
    auto* const out = reinterpret_cast<uint32_t*>(copy_.data_ptr<int>());
    if (!by_rows_) return FillTransposed(values + begin, end - begin, out + begin * width_);
    for (int64_t row = begin; row < end; ++row) {
      const float* const from = values + row * values_.stride(0);
      if (pairs_) {
        RoundPairs(from, 1, values_.size(1), out + row * width_);
      } else {
        std::copy_n(from, width_, reinterpret_cast<float*>(out + row * width_));
      }
    }
  }

 private:
  // Of `count` rows, which are columns of what `from` lies in.
  void FillTransposed(const float* from, int64_t count, uint32_t* out) const {
    const int64_t k = values_.size(1);
    const int64_t stride = values_.stride(1);
    if (!pairs_) return Transpose(from, k, count, stride, reinterpret_cast<float*>(out), k);
    std::vector<uint32_t> rounded(width_ * count);
    for (int64_t i = 0; i < width_; ++i) {
      const float* const even = from + 2 * i * stride;
      InterleavePairs(even, 2 * i + 1 < k ? even + stride : nullptr, count,
                      rounded.data() + i * count);
    }
    Transpose(reinterpret_cast<const float*>(rounded.data()), width_, count, count,
              reinterpret_cast<float*>(out), width_);
  }

  const bool pairs_;
  const bool by_rows_;
  const int64_t width_;      // of a row, in elements of 4 bytes
  const at::Tensor values_;  // kept alive
  at::Tensor copy_;          // undefined: the values themselves
};

LeftFactor Filled(const at::Tensor& a, TensorType precision) {
  LeftFactor factor(a, precision);
  if (factor.borrows()) return factor;
  ForPieces(factor.rows(), kFilledRows,
            [&](int64_t begin, int64_t end) { factor.Fill(begin, end); });
  return factor;
}

MatrixShape ShapeOf(const at::Tensor& weight_NK) {
  return {weight_NK.size(0), weight_NK.size(1), weight_NK.stride(0), weight_NK.stride(1)};
}

// Of the parts of an outer product that an example adds: dy^T and x^T, to be filled.
struct OuterFactors {
  LeftFactor dy_NR;
  PackedMatrix x_KR;
  at::Tensor x;  // what x_KR is filled with
};

std::vector<OuterFactors> FilledOuterFactors(const at::Tensor& dy_RN, const at::Tensor& x_RK,
                                             const at::Tensor& examples, TensorType precision) {
  std::vector<OuterFactors> factors;
  const int64_t* const offsets = examples.data_ptr<int64_t>();
  for (int64_t e = 0; e + 1 < examples.size(0); ++e) {
    const int64_t rows = offsets[e + 1] - offsets[e];
    if (rows == 0) continue;
    const at::Tensor x = x_RK.narrow(0, offsets[e], rows).t();
    factors.push_back({LeftFactor(dy_RN.narrow(0, offsets[e], rows).t(), precision),
                       PackedMatrix(x.size(0), rows, precision, ProductsOf(precision)), x});
  }
  // All at once: each loop over pieces costs some microseconds.
  const int64_t left = Pieces(dy_RN.size(1), kFilledRows);
  const int64_t right = Pieces(x_RK.size(1), kFilledRows);
  ForPieces(static_cast<int64_t>(factors.size()) * (left + right), 1, [&](int64_t piece, int64_t) {
    OuterFactors& of = factors[piece / (left + right)];
    const int64_t part = piece % (left + right);
    if (part < left) {
      if (of.dy_NR.borrows()) return;
      of.dy_NR.Fill(part * kFilledRows, std::min(of.dy_NR.rows(), (part + 1) * kFilledRows));
    } else {
      constexpr int64_t kPanels = kFilledRows / PackedMatrix::kPanelWidth;
      const int64_t first = (part - left) * kPanels;
      of.x_KR.FillPanels(ViewOf(of.x.data_ptr<float>()), ShapeOf(of.x),
                         {first, std::min(of.x_KR.panel_count(), first + kPanels)});
    }
  });
  return factors;
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
  const MatrixShape shape = ShapeOf(weight_NK);
  PackedMatrix packed(shape.n, shape.k, precision, ProductsOf(precision));
  const TensorView values = ViewOf(weight_NK.data_ptr<float>());
  ForPieces(packed.panel_count(), PanelsOfPiece(packed), [&](int64_t begin, int64_t end) {
    packed.FillPanels(values, shape, {begin, end});
  });
  return packed;
}

at::Tensor MatMulRows(const at::Tensor& x_RK, const PackedMatrix& w) {
  const LeftFactor x =
      Filled(x_RK, w.products() == Products::kBf16 ? TensorType::kBf16 : TensorType::kF32);
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
  const LeftFactor x = Filled(x_RK, precision);
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
  const std::vector<OuterFactors> factors = FilledOuterFactors(dy_RN, x_RK, examples, precision);
  if (factors.empty()) return;
  double* const gradient = gradient_NK.data_ptr<double>();
  const int64_t stride = gradient_NK.stride(0);
  ForTiles(dy_RN.size(1), kGradientRows, factors[0].x_KR.panel_count(), kGradientPanels,
           [&](PanelRange rows, PanelRange panels) {
             for (const OuterFactors& of : factors) {
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
