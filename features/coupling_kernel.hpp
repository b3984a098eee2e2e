#pragma once

#include <cstddef>

// The dense linear algebra of the coupling maps, compiled once for each instruction set and chosen when the program
// runs.
namespace tape {

/// What a kernel reads and writes; matrices are column-major.
struct CouplingProblem {
    float const* scaled;    ///< W, n x rank, n = states * length
    float const* transform; ///< T, 20 x states
    float* norms; ///< length x length: Frobenius norm of T B_ij T^T, B the inverse of I + W W^T; 0 on the diagonal
    std::ptrdiff_t length, states, rank;
};

/// For rank < n by Woodbury's identity: the off-diagonal blocks of (I + W W^T)^-1 are those of -Z Z^T with Z = W R^-1,
/// R^T R = I + W^T W. O(n rank^2 + n^2 rank) time, O(n rank) memory. Otherwise by the Cholesky factor of the n x n
/// matrix, O(n^3).
using CouplingKernel = void (*)(CouplingProblem const&);

void coupling_norms_baseline(CouplingProblem const& problem);
#ifdef TAPE_X86_KERNELS
void coupling_norms_avx2(CouplingProblem const& problem);
#endif

/// The fastest kernel that this machine can run. AVX2 takes 0.4 of the baseline's time; AVX-512 was 20% faster still,
/// not worth a third copy.
CouplingKernel coupling_kernel();

} // namespace tape
