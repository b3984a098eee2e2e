#define TAPE_POTTS_KERNELS potts_kernels_avx2
#include "features/potts_kernel_impl.hpp"
