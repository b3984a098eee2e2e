#pragma once

#include <cstddef>
#include <cstdint>

// The inner loops of the Potts model's fit (features/potts.cpp), compiled once for each instruction set and chosen when
// the program runs. All of them do the same operations in the same order and none fuses a product with a sum, so they
// give the same bytes.
namespace tape {

inline constexpr int potts_states = 21; ///< 20 amino acids and "none" (gap or unknown)
inline constexpr int potts_stride = 24; ///< floats a row of states: 21 and zeros up to three vectors of eight
inline constexpr int potts_tile = 16;   ///< columns a tile: their parameters (32 kB) stay in the first-level cache

/// An alignment as the kernels read it, N rows of L columns.
struct PottsRows {
    /// Tiles of `potts_tile` columns, each N x potts_tile: (column in the tile * 21 + state) * 24, the place of the
    /// state's row in the tile's parameters.
    std::uint16_t const* offsets;
    float const* weights; ///< N
    std::ptrdiff_t rows, length;
};

/// First and second derivative along the line.
struct PottsSlope {
    double slope, curvature;
};

/// Parameters, gradients: L x 21 x 24, entry (j, b, a). Fields, residuals: N x 24.
struct PottsKernels {
    /// field(n, .) = sum_j parameters(j, x_nj, .). O(N L) vector additions.
    void (*fields)(PottsRows const& rows, float const* parameters, float* field);
    /// With p = softmax over states of field + step * direction: residual(n, .) = w_n (p - [own_n = .]). Returns the
    /// derivatives of sum_n -w_n log p(own_n) with respect to the step.
    PottsSlope (*residuals)(PottsRows const& rows, std::uint8_t const* own, float const* field, float const* direction,
                            float step, float* residual);
    /// gradient(j, x_nj, .) += residual(n, .). O(N L) vector additions.
    void (*gradient)(PottsRows const& rows, float const* residual, float* gradient);
};

PottsKernels potts_kernels_baseline();
#ifdef TAPE_X86_KERNELS
PottsKernels potts_kernels_avx2();
#endif

/// The fastest kernels that this machine can run.
PottsKernels potts_kernels();

} // namespace tape
