#pragma once

#include "align/substitution.hpp"
#include "data/alphabet.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// A gap of n columns costs open + n * extend inside, and terminal_open + n * terminal_extend before the first or after
/// the last column of the other side; in units of the score matrix. The constants are those of FAMSA for PFASUM43
/// (Deorowicz, Debudaj-Grabysz & Gudys, Sci Rep 6:33964, 2016).
struct ProfileGapCosts {
    float open = 14.85F, extend = 1.25F, terminal_open = 0.66F, terminal_extend = 0.66F;
};

struct ProfileScoring {
    std::array<std::array<float, amino_acid_count>, amino_acid_count> scores = pfasum43;
    ProfileGapCosts gaps = {};
};

/// One row of an alignment: its residues and the column of each, increasing.
struct PlacedRow {
    std::span<Residue const> residues;
    std::span<std::uint32_t const> columns;
    float weight;
};

/// Columns of an alignment as profile-profile alignment sees them. Shares are of the total row weight.
struct ColumnProfile {
    std::size_t length = 0;
    std::vector<float> residues;  ///< 20 rows of `length` values: share of each amino acid in each column
    std::vector<float> occupancy; ///< share of rows with a residue, unknown ones included
    std::vector<float> opens;     ///< share of rows whose gap begins here
    std::vector<float> closes;    ///< share of rows whose gap ends here

    /// O(rows * length).
    ColumnProfile(std::span<PlacedRow const> rows, std::size_t length);
};

/// How two alignments lie on each other: 'M' a column of both, 'D' one of the first only, 'I' one of the second only.
struct ProfileAlignment {
    float score = 0;
    std::string operations;
};

/// Best global alignment of two alignments.
///
/// Two columns score sum_ab f_a g_b S(a, b). A column of either side against nothing costs extend times its occupancy;
/// a gap pays half of `open` at its first column times the share of rows that have no gap beginning there already, and
/// half at its last column times the share whose gap does not end there (after MUSCLE; Edgar, NAR 32:1792, 2004).
/// Terminal gaps pay their own constants, the opening at the border. For two single sequences that is the affine global
/// alignment. Of equal alignments: columns of both, then of the first, are preferred, from the end.
///
/// Alignments without columns are set one after the other, at score 0.
/// O(20 L1 L2) time; scores of columns are computed again from saved rows, so that memory is O(L1 + L2) besides 64 MiB.
ProfileAlignment align_profiles(ColumnProfile const& a, ColumnProfile const& b, ProfileScoring const& scoring = {});

} // namespace tape
