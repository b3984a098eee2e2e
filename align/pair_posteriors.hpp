#pragma once

#include "align/substitution.hpp"
#include "data/alphabet.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tape {

/// Pair hidden Markov model of global alignment: aligned pairs, short gaps and long gaps in either sequence (Do et al.,
/// ProbCons, Genome Res 15:330, 2005, whose transition probabilities these are). Emissions are odds against background,
/// so a gap's residues count 1.
///
/// The end mirrors the beginning: a gap at either border has the probability that ProbCons trained for the beginning,
/// so that reversed sequences have the mirrored posteriors.
struct PairModel {
    std::array<std::array<float, residue_code_count>, residue_code_count> odds; ///< P(a, b) / (P(a) P(b))
    float short_open = 0.0119511066F, short_extend = 0.3965826333F;
    float long_open = 0.008008334786F, long_extend = 0.8988758326F;
    float begin_pair = 0.6814756989F, begin_short = 8.615339902e-05F, begin_long = 0.1591759622F;
};

/// ProbCons' model on BLOSUM62 odds; unknown residues have odds 1.
PairModel const& default_pair_model();

/// Probability that a residue of the first sequence is aligned to one of the second, for those at or above the cutoff.
struct SparsePosteriors {
    struct Entry {
        std::uint16_t column;      ///< residue of the second sequence
        std::uint16_t probability; ///< times 65535
    };
    std::vector<std::uint32_t> begin; ///< first entry of each residue of the first sequence, then the number of entries
    std::vector<Entry> entries;       ///< by residue, then column

    [[nodiscard]] std::span<Entry const> row(std::size_t i) const {
        return std::span{entries}.subspan(begin[i], begin[i + 1] - begin[i]);
    }
    [[nodiscard]] std::size_t rows() const { return begin.empty() ? 0 : begin.size() - 1; }
};

inline constexpr float posterior_scale = 65535;

/// The same pairs with the sequences exchanged. `columns` is the second's length. O(entries).
SparsePosteriors transposed(SparsePosteriors const& posteriors, std::size_t columns);

/// Posteriors of one sequence against several: forward and backward of every pair in its own SIMD lane, in odds with a
/// power of two taken out of each row. A pair whose forward and backward disagree (its parts lie too many orders of
/// magnitude apart for single precision) is computed by `pair_posteriors_reference`. A pair's values do not depend on
/// what else is in the batch.
///
/// @param cutoff  least probability kept
/// @throws data_error if a sequence is empty or longer than 65,535
/// O(|x| sum |y| / lanes) time, O(|x| max |y| lanes) memory.
std::vector<SparsePosteriors> pair_posteriors(std::span<Residue const> x,
                                              std::span<std::span<Residue const> const> others,
                                              PairModel const& model = default_pair_model(), float cutoff = 0.01F);

/// Bytes that `pair_posteriors` works in for sequences of these lengths.
std::size_t pair_posterior_memory(std::size_t x, std::size_t y);

/// Plain forward and backward in logarithms and double precision; the oracle. |x| rows of |y| probabilities.
std::vector<double> pair_posteriors_reference(std::span<Residue const> x, std::span<Residue const> y,
                                              PairModel const& model = default_pair_model());

} // namespace tape
