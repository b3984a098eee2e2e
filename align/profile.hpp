#pragma once

#include "align/msa.hpp"

#include <Eigen/Core>

#include <vector>

namespace tape {

/// L x 20 values in residue-code order, row-major.
using ColumnMatrix = Eigen::Matrix<float, Eigen::Dynamic, 20, Eigen::RowMajor>;

/// Position-based sequence weights (Henikoff & Henikoff, J Mol Biol 243:574, 1994).
///
/// Each column shares one unit of weight equally among its residue types, and each type's share equally among the
/// sequences showing it; a sequence's weight is its mean over all columns. Gaps and unknown residues carry no weight,
/// so a fragment counts for what it covers.
///
/// @return N weights summing to N; all zero if no row has a residue
/// @throws data_error if a row's length differs from the query's
/// O(N L) time, O(L) memory.
std::vector<float> henikoff_weights(Msa const& msa);

/// 1 / (number of rows within `identity` of the row, itself included), the weights of DCA and of Neff at 80% identity.
///
/// Identity is matches over columns where both rows have a residue; rows that share no such column are not similar.
/// Exact; pairs are dropped as soon as their mismatches exclude them. The same bytes for any number of threads.
/// @throws data_error if a row's length differs from the query's
/// O(N^2 L / 64) word operations, O(N L) memory.
std::vector<float> identity_weights(Msa const& msa, double identity = 0.8, int threads = 1);

/// What is read off an alignment, column by column.
struct Profile {
    ColumnMatrix counts;             ///< weighted residue frequencies without pseudocounts, each row sums to 1 (or 0)
    ColumnMatrix frequencies;        ///< with pseudocounts, each row sums to 1
    ColumnMatrix scores;             ///< log2(frequencies / background), bits
    std::vector<float> entropy;      ///< of `counts`, nats
    std::vector<float> gap_fraction; ///< weighted
    /// Effective number of sequences at a column, 1 or more: exp of the mean column entropy of its sub-alignment, that
    /// is of the rows whose first to last residue spans the column, over the columns that at least 90% of them (by
    /// weight) span; of the whole alignment where those columns are fewer than 20. After MMseqs2's and HH-suite's Neff,
    /// with the weights of the whole alignment instead of weights of each sub-alignment.
    std::vector<float> neff_column;
    float neff_identity = 1; ///< sum of identity_weights at 80%; 1 if not asked for
    float neff_entropy = 1;  ///< exp of the mean column entropy of the whole alignment
};

struct ProfileOptions {
    /// Share of pseudocounts tau = min(1, a / (1 + Neff / b)) toward the substitution-matrix expectation (MMseqs2's
    /// form and constants), with the column's Neff.
    double pseudocount_a = 1.1, pseudocount_b = 4.1;
    bool neff_identity = true; ///< off saves the O(N^2 L) step
    int threads = 1;
};

/// Henikoff weights; frequencies (1 - tau) f_a + tau sum_b f_b P(a|b) with P from BLOSUM62 (Tatusov, Altschul & Koonin,
/// PNAS 91:12091, 1994); a column without residues gets the background.
/// @throws data_error if a row's length differs from the query's
/// O(N L + L^2) besides the identity weights.
Profile make_profile(Msa const& msa, ProfileOptions const& options = {});

/// The same with given row weights (N values, not all zero), such as 1 for every row.
Profile make_profile(Msa const& msa, std::span<float const> weights, ProfileOptions const& options = {});

} // namespace tape
