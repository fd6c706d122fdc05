// Kernels for any x86-64 processor: 128-bit vectors; fused multiply-adds by the C library.
#define ATTUNE_KERNEL_TABLE kPortableKernels
#define ATTUNE_KERNEL_NAME "portable"
#include "model/kernels_impl.inc"
