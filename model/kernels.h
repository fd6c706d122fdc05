// The arithmetic of the transformer's forward pass on fp32 rows, shared by sampling, scoring and
// training. Every kernel is row-invariant: the numbers of a row do not depend on how many other
// rows are computed with it, nor on threads or vector width, because each output element is
// accumulated in one fixed order with fused multiply-adds. That is what BLAS does not promise, and
// what makes a response independent of its batch and the trainer's log-probabilities equal to the
// sampler's bit for bit. Compiled for AVX-512, AVX2+FMA and plain x86-64, chosen at run time; all
// three give the same numbers. Pointers need no alignment; buffers must not overlap unless said.
// tests/unit/model/kernel_reference.h holds the slow forms that tests compare with.
//
// All are thread-safe (no state) and single-threaded.
#ifndef ATTUNE_MODEL_KERNELS_H_
#define ATTUNE_MODEL_KERNELS_H_

#include <cstdint>
#include <vector>

#include "model/model_config.h"
#include "model/tensor_type.h"

namespace attune {

// Where the elements of a stored matrix W [n, k] are: (j, i) at j * row_stride + i * column_stride.
struct MatrixShape {
  int64_t n;  // outputs
  int64_t k;  // inputs
  int64_t row_stride;
  int64_t column_stride;
};

// A weight matrix W [n, k] rearranged into panels of columns for MatMul. Pack once per policy. The
// values are held in the type given: 2 bytes each where that loses nothing, and multiplied as the
// fp32 numbers they are.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Takes the values as they are stored, exactly as kF32, or rounded to kBf16; never to kF16.
  PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type);

  int64_t n() const { return n_; }  // outputs
  int64_t k() const { return k_; }  // inputs
  TensorType type() const { return type_; }
  // [ceil(n / kPanelWidth)][k][kPanelWidth] values of type(), zero padded, on cache lines.
  const void* panels() const { return panels_.data(); }
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
  std::vector<CacheLine> panels_;
};

// y[m, n] = x[m, k] W^T.  y[i, j] = sum over k in ascending order. The same bits for every type
// that holds the same values.
void MatMul(const float* x, int64_t m, const PackedMatrix& w, float* y);

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

struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;  // head h reads kv head h / (heads / kv_heads)
  int64_t head_dim;
  float scale;    // of q . k
  float softcap;  // c: scores become c tanh(score / c); 0: they stay
};
// Causal attention of one query position over `length` cached positions (its own is the last).
// q, out [heads, head_dim]; keys, values [length] rows of `stride` floats that begin with
// [kv_heads, head_dim]. `scores` is scratch of `length` floats.
void AttendRow(const float* q, const float* keys, const float* values, int64_t length,
               int64_t stride, const AttentionShape& shape, float* scores, float* out);

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

}  // namespace attune

#endif  // ATTUNE_MODEL_KERNELS_H_
