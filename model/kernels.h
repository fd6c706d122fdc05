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

#include "model/kernels_layout.h"
#include "model/model_config.h"
#include "model/packed_matrix.h"

namespace attune {

struct KvLayout;  // model/kv_cache.h

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
