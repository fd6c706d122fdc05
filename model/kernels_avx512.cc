// Kernels for x86-64-v4 processors. Compiled with -march=x86-64-v4, see CMakeLists.txt.
#define ATTUNE_KERNEL_TABLE kAvx512Kernels
#define ATTUNE_KERNEL_NAME "avx512"
#include "model/kernels_impl.inc"
