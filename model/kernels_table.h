// The compiled variants of the kernels of model/kernels.h and model/backward_kernels.h, for its
// dispatch and for the tests that compare them. Same arguments, but PackedMatrix comes as its parts
// and Activate is one kernel an activation: kernels_impl.inc says why it does without their
// headers.
#ifndef ATTUNE_MODEL_KERNELS_TABLE_H_
#define ATTUNE_MODEL_KERNELS_TABLE_H_

#include <cstdint>

#include "model/kernels_layout.h"
#include "model/tensor_type.h"

namespace attune {

struct KernelTable {
  const char* name;
  void (*mat_mul)(const float* x, int64_t m, TensorType type, const void* panels, PanelRange range,
                  int64_t n, int64_t k, float* y);
  void (*mat_mul_int8)(const float* x, int64_t m, const void* panels, PanelRange range, int64_t n,
                       int64_t k, float* y);
  void (*mat_mul_pairs)(const uint32_t* x, int64_t m, const void* panels, PanelRange range,
                        int64_t n, int64_t pairs, float* y);
  void (*round_pairs)(const float* x, int64_t rows, int64_t k, uint32_t* pairs);
  void (*add_bias)(const float* bias, int64_t rows, int64_t n, float* y);
  void (*rms_norm)(const float* x, int64_t rows, int64_t dim, const float* weight, float eps,
                   float* y);
  void (*layer_norm)(const float* x, int64_t rows, int64_t dim, const float* weight,
                     const float* bias, float eps, float* y);
  void (*apply_rope)(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cosines,
                     const float* sines);
  void (*attend_row)(const float* q, const char* const* pages, const AttendArguments& arguments,
                     float* scratch, float* out);
  void (*silu)(const float* gate, const float* up, int64_t count, float* out);
  void (*gelu_tanh)(const float* gate, const float* up, int64_t count, float* out);
  void (*soft_cap)(float cap, int64_t count, float* x);
  float (*log_sum_exp)(const float* x, int64_t n);
  void (*scaled_exp)(const float* x, int64_t n, float shift, float scale, float* y);
  void (*scale)(float factor, int64_t count, float* x);
  void (*add_into)(const float* x, int64_t count, float* y);
  float (*max)(const float* x, int64_t n);
  void (*scaled_exp_sums)(const float* x, int64_t n, float shift, float scale, float* y,
                          double* sums);
  float (*log_sum_exp_sums)(const float* x, int64_t n, float* y, double* sums);
  int64_t (*select_at_least)(const float* x, int64_t n, float bound, int32_t* ids);
  // Of model/backward_kernels.h.
  void (*transpose)(const float* x, int64_t rows, int64_t columns, int64_t stride, float* out,
                    int64_t out_stride);
  void (*interleave_pairs)(const float* even, const float* odd, int64_t count, uint32_t* pairs);
  void (*add_mat_mul)(const float* x, int64_t m, const void* panels, PanelRange range, int64_t n,
                      int64_t k, double* y, int64_t stride);
  void (*add_mat_mul_pairs)(const uint32_t* x, int64_t m, const void* panels, PanelRange range,
                            int64_t n, int64_t pairs, double* y, int64_t stride);
  void (*rms_norm_backward)(const float* x, const float* dy, int64_t rows, int64_t dim,
                            const float* weight, float eps, float* dx, double* dweight);
  void (*layer_norm_backward)(const float* x, const float* dy, int64_t rows, int64_t dim,
                              const float* weight, float eps, float* dx, double* dweight,
                              double* dbias);
  void (*silu_backward)(const float* gate, const float* up, const float* dout, int64_t count,
                        float* dgate, float* dup);
  void (*gelu_tanh_backward)(const float* gate, const float* up, const float* dout, int64_t count,
                             float* dgate, float* dup);
};

// Data, not functions: reading it runs no instruction of another instruction set.
extern const KernelTable kPortableKernels;
extern const KernelTable kAvx2Kernels;        // AVX2, FMA and F16C (x86-64-v3)
extern const KernelTable kAvx512Kernels;      // AVX-512 F, BW, CD, DQ, VL (x86-64-v4)
extern const KernelTable kAvx512Bf16Kernels;  // the same and AVX-512 BF16

// Whether this machine can run it.
bool CanRun(const KernelTable& table);

}  // namespace attune

#endif  // ATTUNE_MODEL_KERNELS_TABLE_H_
