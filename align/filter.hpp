#pragma once

#include "align/msa.hpp"

#include <cstddef>
#include <limits>
#include <vector>

namespace tape {

/// Which rows stay. The defaults keep all; the query always stays.
struct FilterOptions {
    double min_coverage = 0;       ///< share of the columns without a gap
    double min_query_identity = 0; ///< same residues over facing pairs, row against query
    double max_query_identity = 1; ///< the same; 1 keeps copies of the query
    double min_score = -std::numeric_limits<double>::infinity(); ///< mean BLOSUM62 score of the pairs, bits a column
    double max_pairwise_identity = 1; ///< of any two kept rows, the query included; 1 keeps identical rows
    std::size_t diversity = 0;        ///< 0 is off; N keeps the most different rows, N for each block of 50 columns

    [[nodiscard]] bool keeps_all() const;
};

/// Indices of the rows that stay, ascending, the query (0) first.
///
/// Coverage, identity to the query and score judge each row by itself. Then rows are taken longest first (ties in the
/// order of the alignment) if no row taken before is more alike than `max_pairwise_identity`. With `diversity`, after
/// HH-suite's hhfilter -diff (Remmert, Biegert, Hauser & Soeding, Nat Methods 9:173, 2012), the bound on identity
/// starts at 15% and rises by 5% to that maximum; in each step a row is taken only if it covers at least half of some
/// block of 50 columns that has fewer than N rows so far. Identities are of facing residue pairs, rows without any are
/// not alike.
///
/// @throws usage_error for a share outside [0, 1] or a minimum above its maximum
/// One thread; each row is compared once with each kept row: O(N kept L / 64) word operations, O(N L) memory.
std::vector<std::size_t> rows_kept(Msa const& msa, FilterOptions const& options);

/// The alignment of those rows.
Msa filtered(Msa const& msa, FilterOptions const& options);

} // namespace tape
