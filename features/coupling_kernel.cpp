#define TAPE_COUPLING_KERNEL coupling_norms_baseline
#include "features/coupling_kernel_impl.hpp"

namespace tape {

CouplingKernel coupling_kernel() {
#ifdef TAPE_X86_KERNELS
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return coupling_norms_avx2;
#endif
    return coupling_norms_baseline;
}

} // namespace tape
