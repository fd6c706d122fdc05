// The arithmetic of the transformer's backward pass, and the layouts that its products need. As of
// model/kernels.h: row-invariant, of one order of sums, compiled for the same instruction sets,
// thread-safe and single-threaded. Gradients of parameters are added up in double precision: fp32
// addends leave so many spare bits there that the sum practically does not depend on its order.
#ifndef ATTUNE_MODEL_BACKWARD_KERNELS_H_
#define ATTUNE_MODEL_BACKWARD_KERNELS_H_

#include <cstdint>

#include "model/kernels.h"

namespace attune {

// out[c, r] = x[r, c] for x [rows, columns]. Rows of x lie `stride` apart, those of out
// `out_stride`. Values of 32 bits, which are copied as they are.
void Transpose(const float* x, int64_t rows, int64_t columns, int64_t stride, float* out,
               int64_t out_stride);

// pairs[i] = (even[i], odd[i]) as bf16, the even one in the low half; `odd` null: zeros.
void InterleavePairs(const float* even, const float* odd, int64_t count, uint32_t* pairs);

// y[i, j] += x[m, k] W^T of the columns of some panels, each sum rounded to fp32 first. x as of
// MatMulPanels, w exact fp32 or pairs of bf16. Rows of y lie `stride` apart.
void AddMatMulPanels(const void* x, int64_t m, const PackedMatrix& w, PanelRange panels, double* y,
                     int64_t stride);

// Of RmsNorm and LayerNorm: dx from dy, both [rows, dim]; adds to dweight and dbias [dim]. dx may
// be dy.
void RmsNormBackward(const float* x, const float* dy, int64_t rows, int64_t dim,
                     const float* weight, float eps, float* dx, double* dweight);
void LayerNormBackward(const float* x, const float* dy, int64_t rows, int64_t dim,
                       const float* weight, float eps, float* dx, double* dweight, double* dbias);

// Of Activate: dgate, and dup unless `up` is null, from dout. dgate or dup may be dout.
void ActivateBackward(Activation activation, const float* gate, const float* up, const float* dout,
                      int64_t count, float* dgate, float* dup);

}  // namespace attune

#endif  // ATTUNE_MODEL_BACKWARD_KERNELS_H_
