// A weight matrix as the kernels multiply it.
#ifndef ATTUNE_MODEL_PACKED_MATRIX_H_
#define ATTUNE_MODEL_PACKED_MATRIX_H_

#include <cstdint>
#include <vector>

#include "model/kernels_layout.h"
#include "model/tensor_type.h"

namespace attune {

// Where the elements of a stored matrix W [n, k] are: (j, i) at j * row_stride + i * column_stride.
struct MatrixShape {
  int64_t n;  // outputs
  int64_t k;  // inputs
  int64_t row_stride;
  int64_t column_stride;
};

// How a matrix is multiplied. Sums are fp32 in both.
enum class Products {
  kFp32,  // exact factors
  kBf16,  // both factors rounded to bf16 (nearest even; below the normal range: zero). Twice as
          // fast where the processor has vdpbf16ps, and the bits of that instruction everywhere.
  kInt8,  // exact x; the weights of an output in 255 steps of its largest one: for sampling alone,
          // a quarter of the memory and of what one sequence must read
};

// A weight matrix W [n, k] rearranged into panels of columns for MatMul (model/kernels.h). Pack
// once per policy. The values are held in the type given: 2 bytes each where that loses nothing.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Takes the values as they are stored, exactly as kF32, or rounded to kBf16; never to kF16. With
  // Products::kBf16 the type is kBf16.
  PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type,
               Products products = Products::kFp32);
  // Of zeros, for FillPanels: the same in parts, which several threads may do at once.
  PackedMatrix(int64_t n, int64_t k, TensorType type, Products products);
  void FillPanels(TensorView weight, const MatrixShape& shape, PanelRange range);

  int64_t n() const { return n_; }  // outputs
  int64_t k() const { return k_; }  // inputs
  TensorType type() const { return type_; }
  Products products() const { return products_; }
  // With Products::kInt8.
  PackedMatrix Quantized() const;
  // [panel_count()][k][kPanelWidth] values of type() (of Products::kInt8, int8_t), or of
  // Products::kBf16 [panel_count()][pairs()][kPanelWidth] pairs of bf16; zero padded, on cache
  // lines.
  const void* panels() const { return panels_.data(); }
  const std::vector<float>& scales() const { return scales_; }
  int64_t panel_count() const { return (n_ + kPanelWidth - 1) / kPanelWidth; }
  int64_t pairs() const { return (k_ + 1) / 2; }  // of inputs
  // Of a panel, but with Products::kInt8.
  int64_t panel_bytes() const {
    return kPanelWidth *
           (products_ == Products::kBf16 ? pairs() * sizeof(uint32_t) : k_ * BytesOf(type_));
  }
  // Row j of W, k floats: an embedding of a model whose head is its embeddings.
  void CopyRow(int64_t j, float* out) const;

  static constexpr int64_t kPanelWidth = 32;

 private:
  struct alignas(64) CacheLine {
    char bytes[64];
  };

  int64_t n_ = 0;
  int64_t k_ = 0;
  TensorType type_ = TensorType::kF32;
  Products products_ = Products::kFp32;
  std::vector<CacheLine> panels_;
  std::vector<float> scales_;  // of each output, with Products::kInt8
};

}  // namespace attune

#endif  // ATTUNE_MODEL_PACKED_MATRIX_H_
