#pragma once

#include "align/profile_hmm.hpp"
#include "data/alphabet.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace tape {

/// Position-specific scores of a query: what a target residue is worth at each query position, in half bits (the unit
/// of BLOSUM62).
struct PositionScores {
    int length = 0;
    std::vector<float> values; ///< length x 22 by residue code; row-major

    [[nodiscard]] float at(int position, int code) const {
        return values[static_cast<std::size_t>(position) * 22 + code];
    }
};

/// The same as small integers, the input of the SIMD kernels: round(scale * half bits), clamped to int8.
struct IntegerScores {
    static constexpr int row_width = 32; ///< codes 22-31 score as unknown, so that any byte & 31 is a valid column

    int length = 0;
    double scale = 1;
    std::vector<std::int8_t> values; ///< length x 32; row-major

    [[nodiscard]] int at(int position, int code) const {
        return values[static_cast<std::size_t>(position) * row_width + code];
    }
};

struct SequenceScoreOptions {
    bool composition_bias = true; ///< subtract what the query's own neighbourhood scores by composition alone
    bool mask_low_complexity = true;
};

/// BLOSUM62 rows of a query sequence.
///
/// Composition bias as MMseqs2 does it (Hauser, Steinegger & Soeding, Bioinformatics 32:1323, 2016): position i gains
/// -mean_j S(q_i, q_j) + sum_a p_a S(q_i, a) over the 40 positions around it, shrunk where it is no more than a window
/// of unbiased residues gives by chance: b^3 / (b^2 + 0.5^2), as Wiener's filter shrinks a signal in noise.
/// Low-complexity stretches (see `low_complexity_mask`) score at most 0.
PositionScores sequence_scores(std::span<Residue const> query, SequenceScoreOptions const& options = {});

/// Log odds of a profile HMM's match emissions against `hmmer_background`, in the unit in which BLOSUM62 has its
/// ungapped lambda, so that both share the thresholds of the scan; the same composition-bias term, with the emissions
/// in place of the neighbours.
PositionScores profile_scores(ProfileHmm const& hmm, std::span<Residue const> query,
                              SequenceScoreOptions const& options = {});

IntegerScores round_scores(PositionScores const& scores, double scale = 1);

/// True where a window of 12 residues holds less than 1.9 bits of entropy: the first stage of SEG (Wootton & Federhen,
/// Comput Chem 17:149, 1993).
std::vector<bool> low_complexity_mask(std::span<Residue const> sequence);

} // namespace tape
