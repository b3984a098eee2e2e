#include "align/bit_rows.hpp"

#include <algorithm>

namespace tape {
namespace {

/// Set bits of a word. The portable count without the x86 instruction is a table look-up per byte; this is a third of
/// its time.
int bit_count(std::uint64_t word) {
    word -= word >> 1 & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return static_cast<int>(word * 0x0101010101010101u >> 56);
}

} // namespace

BitRows::BitRows(Msa const& msa)
    : words_per_row_{(msa.length() + 63) / 64}, words_(msa.depth() * words_per_row_), residues_(msa.depth()) {
    for (std::size_t r = 0; r < msa.depth(); ++r) {
        auto const& columns = msa.rows[r].columns;
        for (std::size_t c = 0; c < columns.size(); ++c) {
            if (columns[c] >= amino_acid_count) continue;
            Word& word = words_[r * words_per_row_ + c / 64];
            std::uint64_t const bit = std::uint64_t{1} << (c % 64);
            word.residue |= bit;
            for (int plane = 0; plane < 5; ++plane)
                if (columns[c] >> plane & 1) word.code[plane] |= bit;
            ++residues_[r];
        }
    }
}

bool BitRows::similar(std::size_t a, std::size_t b, double identity) const {
    // matches >= identity * both is mismatches <= (1 - identity) * both, and both <= the shorter row. The small
    // constant keeps 4 of 5 at 80% in spite of rounding.
    int const allowed = static_cast<int>((1 - identity) * std::min(residues_[a], residues_[b]) + 1e-6);
    Word const *x = &words_[a * words_per_row_], *y = &words_[b * words_per_row_];
    int mismatches = 0, both = 0;
    for (std::size_t w = 0; w < words_per_row_; ++w) {
        std::uint64_t different = 0;
        for (int plane = 0; plane < 5; ++plane) different |= x[w].code[plane] ^ y[w].code[plane];
        std::uint64_t const shared = x[w].residue & y[w].residue;
        mismatches += bit_count(different & shared);
        if (mismatches > allowed) return false;
    }
    for (std::size_t w = 0; w < words_per_row_; ++w) both += bit_count(x[w].residue & y[w].residue);
    return both > 0 && mismatches <= (1 - identity) * both + 1e-6;
}

BitRows::Pairs BitRows::pairs(std::size_t a, std::size_t b) const {
    Word const *x = &words_[a * words_per_row_], *y = &words_[b * words_per_row_];
    Pairs pairs;
    for (std::size_t w = 0; w < words_per_row_; ++w) {
        std::uint64_t different = 0;
        for (int plane = 0; plane < 5; ++plane) different |= x[w].code[plane] ^ y[w].code[plane];
        std::uint64_t const shared = x[w].residue & y[w].residue;
        pairs.both += bit_count(shared), pairs.same += bit_count(shared & ~different);
    }
    return pairs;
}

} // namespace tape
