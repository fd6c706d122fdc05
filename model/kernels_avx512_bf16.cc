// Kernels for processors with AVX-512 BF16. Compiled with -mavx512bf16 too, see CMakeLists.txt.
#define ATTUNE_KERNEL_TABLE kAvx512Bf16Kernels
#define ATTUNE_KERNEL_NAME "avx512_bf16"
#include "model/kernels_impl.inc"
