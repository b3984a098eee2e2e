#pragma once

#include "align/msa.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// Which pairs of columns change together. Every map is L x L, row-major, symmetric, with a zero diagonal.
namespace tape {

/// Average product correction (Dunn, Wahl & Gloor, Bioinformatics 24:333, 2008): subtracts mean_i mean_j / mean, means
/// over the off-diagonal entries. O(L^2).
std::vector<float> average_product_correction(std::span<float const> map, std::size_t length);

/// Mean 0 and standard deviation 1 over pairs at least `separation` apart; all zeros if those pairs do not vary. The
/// diagonal stays zero. Makes proteins of different depth comparable.
std::vector<float> standardised(std::span<float const> map, std::size_t length, std::size_t separation = 6);

/// Mutual information of column pairs in nats, over 20 amino acids and "none" (gap or unknown), rows weighted, without
/// pseudocounts. O(N L^2) time.
std::vector<float> mutual_information(Msa const& msa, std::span<float const> weights);

struct CouplingOptions {
    /// Multiplications allowed for one map. The cost of a map over the first R rows is about (20 L)^2 min(R, 20 L);
    /// where all rows would cost more, the first rows that fit are used (hits come best first). 6e10 keeps every row of
    /// 6,000 at 150 columns.
    double budget = 6e10;
};

/// Mean-field direct couplings (Morcos et al., PNAS 108:E1293, 2011): inverse of the covariance of 20 amino acids a
/// column, the "none" state dropped, with pseudocount 0.5; Frobenius norm of each 20 x 20 block in the zero-sum gauge
/// over 21 states. Not APC-corrected.
///
/// The pseudocount makes the covariance D + V V^T with a block-diagonal D and one column in V a row of the alignment,
/// so that for N < 20 L rows the inverse needs an N x N Cholesky only (Woodbury): O((20 L)^2 N) instead of O((20 L)^3).
std::vector<float> mean_field_couplings(Msa const& msa, std::span<float const> weights,
                                        CouplingOptions const& options = {});

/// Inverse of the shrunk covariance of 21 states a column, ridge 4.5 / sqrt(sum of weights), Frobenius norm of each 20
/// x 20 block (trRosetta: Yang et al., PNAS 117:1496, 2020). Not APC-corrected. Cost as above.
std::vector<float> shrunk_inverse_covariance(Msa const& msa, std::span<float const> weights,
                                             CouplingOptions const& options = {});

} // namespace tape
