#pragma once

#include "align/msa.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tape {

/// Rows as bit planes: per row and per 64 columns, five words with the bits of the residue codes and one with the
/// residues' places, so that 64 columns are compared by a dozen word operations.
class BitRows {
  public:
    /// Residue pairs of two rows, and how many of them are the same residue.
    struct Pairs {
        int both = 0, same = 0;
    };

    explicit BitRows(Msa const& msa);

    /// Identity of two rows (same / both) reaches the threshold; stops at the first word that excludes it. Rows that
    /// share no column are not similar. O(L / 64).
    [[nodiscard]] bool similar(std::size_t a, std::size_t b, double identity) const;
    [[nodiscard]] Pairs pairs(std::size_t a, std::size_t b) const;
    [[nodiscard]] int residues(std::size_t row) const { return residues_[row]; }

  private:
    struct Word {
        std::array<std::uint64_t, 5> code{};
        std::uint64_t residue = 0;
    };

    std::size_t words_per_row_;
    std::vector<Word> words_;
    std::vector<int> residues_;
};

} // namespace tape
