// Kernels for x86-64-v3 processors. Compiled with -march=x86-64-v3, see CMakeLists.txt.
#define ATTUNE_KERNEL_TABLE kAvx2Kernels
#define ATTUNE_KERNEL_NAME "avx2"
#include "model/kernels_impl.inc"
