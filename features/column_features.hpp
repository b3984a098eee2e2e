#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"

#include <span>
#include <vector>

namespace tape {

/// What a column tells besides its residues; L values each.
struct ColumnFeatures {
    /// Jensen-Shannon divergence of the column's residues and the background, bits, times the weight share of rows with
    /// a residue there; then half of it and half of the mean of the up to three columns on either side (Capra & Singh,
    /// Bioinformatics 23:1875, 2007: lambda .5, window 3, gap penalty; their background is BLOSUM62's, ours that of
    /// `background_frequencies`). 0 to 1.
    std::vector<float> conservation;
    /// Weight share of the rows with an insertion after the column, of those that span it and the next. 0 for the last.
    std::vector<float> insertion_rate;
    /// Weight share of the rows with a gap or an unknown residue, of those that span the column: first to last residue.
    std::vector<float> gap_rate;
    /// Number of rows with a residue, relative to the fullest column.
    std::vector<float> relative_depth;
};

/// @param profile  of the same alignment and weights
/// @param weights  N, of the rows
/// @throws error if the weights are not N
/// O(N L).
ColumnFeatures column_features(Msa const& msa, Profile const& profile, std::span<float const> weights);

/// Jensen-Shannon divergence of two distributions, bits; 0 for a first one that is all zeros (a column without
/// residues).
double jensen_shannon_divergence(std::span<float const> p, std::span<double const> q);

} // namespace tape
