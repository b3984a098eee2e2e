#pragma once

#include "data/alphabet.hpp"

#include <array>
#include <span>

namespace tape {

/// Posterior mean residue frequencies of weighted counts under a mixture of nine Dirichlet densities (Sjolander,
/// Karplus, Brown, Hughey, Krogh, Mian & Haussler, CABIOS 12:327, 1996; the mixture known as Blocks9):
/// sum over components of P(component | counts) (n_a + alpha_a) / (n + alpha).
///
/// @param counts  20 weighted counts in residue-code order, not negative; all zero gives the mixture's prior mean
/// @return        20 positive frequencies summing to 1
/// O(1): 9 x 20 log-gamma evaluations.
std::array<double, amino_acid_count> dirichlet_mixture_mean(std::span<double const, amino_acid_count> counts);

} // namespace tape
