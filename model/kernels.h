// The arithmetic of the transformer's forward pass on fp32 rows, shared by sampling, scoring and
// training. Every kernel is row-invariant: the numbers of a row do not depend on how many other
// rows are computed with it, nor on threads or vector width, because each output element is
// accumulated in one fixed order. That is what BLAS does not promise, and
// what makes a response independent of its batch and the trainer's log-probabilities equal to the
// sampler's bit for bit. Compiled for AVX-512 with and without BF16, AVX2+FMA and plain x86-64,
// chosen at run time; all give the same numbers. Pointers need no alignment; buffers must not
// overlap unless said. tests/unit/model/kernel_reference.h holds the slow forms that tests compare
// with.
//
// All are thread-safe (no state) and single-threaded.
#ifndef ATTUNE_MODEL_KERNELS_H_
#define ATTUNE_MODEL_KERNELS_H_

#include <cstdint>
#include <vector>

#include "model/kernels_layout.h"
#include "model/model_config.h"
#include "model/tensor_type.h"

namespace attune {

struct KvLayout;  // model/kv_cache.h

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

// A weight matrix W [n, k] rearranged into panels of columns for MatMul. Pack once per policy. The
// values are held in the type given: 2 bytes each where that loses nothing.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Takes the values as they are stored, exactly as kF32, or rounded to kBf16; never to kF16.
  PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type);
  // Of either kind; with Products::kBf16 the type is kBf16.
  PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type, Products products);

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

// y[m, n] = x[m, k] W^T. Of fp32 products y[i, j] is their sum over k in ascending order, with the
// same bits for every type that holds the same values; of bf16 the sum over pairs of inputs, in
// each the odd one first.
void MatMul(const float* x, int64_t m, const PackedMatrix& w, float* y);
// The same for the columns of some panels alone. x is what w.products() multiplies: floats [m, k],
// or pairs [m, pairs()] that RoundPairs made of them.
void MatMulPanels(const void* x, int64_t m, const PackedMatrix& w, PanelRange panels, float* y);

// Rows of k values to rows of ceil(k / 2) pairs of bf16, the even one in the low half.
void RoundPairs(const float* x, int64_t rows, int64_t k, uint32_t* pairs);

// y[i] += bias, for rows i of n values.
void AddBias(const float* bias, int64_t rows, int64_t n, float* y);

// y[i] = x[i] / sqrt(mean(x[i]^2) + eps) * weight, for rows i of `dim` values. y may be x.
void RmsNorm(const float* x, int64_t rows, int64_t dim, const float* weight, float eps, float* y);

// y[i] = (x[i] - mean) / sqrt(mean((x[i] - mean)^2) + eps) * weight + bias. y may be x.
void LayerNorm(const float* x, int64_t rows, int64_t dim, const float* weight, const float* bias,
               float eps, float* y);

// Rotary embedding in place (model/rope.h, Hugging Face half-split layout): for each head and
// d < half, (a, b) = (x[d], x[d + half]) becomes (a cos[d] - b sin[d], b cos[d] + a sin[d]); values
// from 2 * half on stay. x [heads, head_dim] of one position.
void ApplyRope(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cosines,
               const float* sines);

// Writes the keys and values [kv_heads, head_dim] of one position into its place, 0 to
// kPagePositions - 1, of a page.
void StoreKeysAndValues(const KvLayout& layout, int64_t place, const float* k, const float* v,
                        char* keys, char* values);

// Causal attention of one query position over the pages of its sequence, from position 0 on.
// q, out [heads, head_dim]; `scratch` has AttendScratch floats.
void AttendRow(const float* q, const char* const* pages, const AttendArguments& arguments,
               float* scratch, float* out);
int64_t AttendScratch(const AttendArguments& arguments);

// out = act(gate), times `up` unless that is null. out may be gate or up.
void Activate(Activation activation, const float* gate, const float* up, int64_t count, float* out);

// x = cap tanh(x / cap).
void SoftCap(float cap, int64_t count, float* x);

// log(sum(exp(x))) over n values, shifted by the maximum. log softmax(x)[i] = x[i] - LogSumExp(x).
float LogSumExp(const float* x, int64_t n);

// y[i] = exp((x[i] - shift) * scale). y may be x.
void ScaledExp(const float* x, int64_t n, float shift, float scale, float* y);

// x[i] *= factor.
void Scale(float factor, int64_t count, float* x);

// y[i] += x[i].
void AddInto(const float* x, int64_t count, float* y);

// The largest of n > 0 values; -infinity if all are NaN.
float Max(const float* x, int64_t n);

// As ScaledExp, for finite `shift` and `scale` > 0, and the sums of every kSumBlock values of y, in
// double: sums [ceil(n / kSumBlock)]. y may be x.
constexpr int64_t kSumBlock = 256;
void ScaledExpSums(const float* x, int64_t n, float shift, float scale, float* y, double* sums);
// LogSumExp, and with `shift` the maximum and `scale` 1 what ScaledExpSums writes.
float LogSumExpSums(const float* x, int64_t n, float* y, double* sums);

// Writes each i with x[i] >= bound into `ids`, ascending, and returns how many there are. `ids` has
// room for n + kSelectPadding, whose rest may be overwritten.
constexpr int64_t kSelectPadding = 16;
int64_t SelectAtLeast(const float* x, int64_t n, float bound, int32_t* ids);

}  // namespace attune

#endif  // ATTUNE_MODEL_KERNELS_H_
