#define TAPE_POTTS_KERNELS potts_kernels_baseline
#include "features/potts_kernel_impl.hpp"

namespace tape {

PottsKernels potts_kernels() {
#ifdef TAPE_X86_KERNELS
    if (__builtin_cpu_supports("avx2")) return potts_kernels_avx2();
#endif
    return potts_kernels_baseline();
}

} // namespace tape
