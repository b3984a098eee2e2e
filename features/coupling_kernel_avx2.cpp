#define Eigen tape_eigen_avx2
#define TAPE_COUPLING_KERNEL coupling_norms_avx2
#include "features/coupling_kernel_impl.hpp"
