// The arithmetic of the transformer's forward pass on fp32 rows, shared by sampling, scoring and
// training. Every kernel is row-invariant: the numbers of a row do not depend on how many other
// rows are computed with it, nor on threads or vector width, because each output element is
// accumulated in one fixed order with fused multiply-adds. That is what BLAS does not promise, and
// what makes a response independent of its batch and the trainer's log-probabilities equal to the
// sampler's bit for bit. Compiled for AVX-512, AVX2+FMA and plain x86-64, chosen at run time; all
// three give the same numbers. Pointers need no alignment; buffers must not overlap unless said.
// model/reference.h holds the slow forms that tests compare with.
//
// All are thread-safe (no state) and single-threaded.
#ifndef ATTUNE_MODEL_KERNELS_H_
#define ATTUNE_MODEL_KERNELS_H_

#include <cstdint>
#include <vector>

namespace attune {

// A weight matrix W [n, k] rearranged into panels of columns for MatMul. Pack once per policy.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(const float* weight, int64_t n, int64_t k);

  int64_t n() const { return n_; }  // outputs
  int64_t k() const { return k_; }  // inputs
  // [ceil(n / kPanelWidth)][k][kPanelWidth], zero padded, on cache lines.
  const float* panels() const { return reinterpret_cast<const float*>(panels_.data()); }

  static constexpr int64_t kPanelWidth = 32;

 private:
  struct alignas(64) CacheLine {
    float values[16];
  };

  int64_t n_ = 0;
  int64_t k_ = 0;
  std::vector<CacheLine> panels_;
};

// y[m, n] = x[m, k] W^T.  y[i, j] = sum over k in ascending order.
void MatMul(const float* x, int64_t m, const PackedMatrix& w, float* y);

// y[i] = x[i] / sqrt(mean(x[i]^2) + eps) * weight, for rows i of `dim` values. y may be x.
void RmsNorm(const float* x, int64_t rows, int64_t dim, const float* weight, float eps, float* y);

// Rotary embedding in place (Su et al. 2021, Hugging Face half-split layout): for each head,
// (a, b) = (x[d], x[d + head_dim/2]) becomes (a cos - b sin, b cos + a sin) with the angle
// position * theta^(-2 d / head_dim), taken from the table. x [heads, head_dim] of one position.
class RopeTable {
 public:
  RopeTable(int64_t positions, int64_t head_dim, double theta);
  const float* cosines(int64_t position) const { return &cos_[position * half_]; }
  const float* sines(int64_t position) const { return &sin_[position * half_]; }
  int64_t positions() const { return positions_; }

 private:
  int64_t positions_;
  int64_t half_;
  std::vector<float> cos_;  // [positions, head_dim / 2]
  std::vector<float> sin_;
};
void ApplyRope(float* x, int64_t heads, int64_t head_dim, const float* cosines,
               const float* sines);

// Causal attention of one query position over `length` cached positions (its own is the last).
// q, out [heads, head_dim]; keys, values [length] rows of `stride` floats that begin with
// [kv_heads, head_dim]; head h reads kv head h / (heads / kv_heads); scores are scaled by
// 1/sqrt(head_dim). `scores` is scratch of `length` floats.
void AttendRow(const float* q, const float* keys, const float* values, int64_t length,
               int64_t stride, int64_t heads, int64_t kv_heads, int64_t head_dim, float* scores,
               float* out);

// out = silu(gate) * up, silu(x) = x / (1 + exp(-x)). out may be gate or up.
void SiluMul(const float* gate, const float* up, int64_t count, float* out);

// log(sum(exp(x))) over n values, shifted by the maximum. log softmax(x)[i] = x[i] - LogSumExp(x).
float LogSumExp(const float* x, int64_t n);

// y[i] = exp((x[i] - shift) * scale). y may be x.
void ScaledExp(const float* x, int64_t n, float shift, float scale, float* y);

// y[i] += x[i].
void AddInto(const float* x, int64_t count, float* y);

}  // namespace attune

#endif  // ATTUNE_MODEL_KERNELS_H_
