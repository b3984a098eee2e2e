#pragma once

#include "align/forward.hpp"
#include "align/gapped.hpp"

#include <span>
#include <vector>

namespace tape {

/// Least posterior probability at which a pair of node and residue is worth more aligned than not. HH-suite's default
/// for its maximum accuracy alignments is .35 (Steinegger et al., BMC Bioinformatics 20:473, 2019); ours was chosen by
/// the contacts that couplings show (`docs/decisions/005`).
inline constexpr float pair_threshold = 0.2F;

struct PosteriorAlignment {
    Alignment alignment; ///< its score is 0
    /// How much of a Forward score, in bits, the composition of the aligned residues would explain: their odds under the
    /// mean emissions of the nodes that they are aligned to, in place of each node's own, weighed against 255 times as
    /// much belief in the background (HMMER's second null model; Eddy, HMMER 3 User's Guide, "biased composition").
    double composition_bits = 0;
};

/// The alignment of each target with a model that has the largest sum of (posterior probability - `threshold`) over its
/// pairs (maximum expected accuracy; Holmes & Durbin, J Comput Biol 5:493, 1998). Probabilities are of local alignments
/// that begin and end in any match state, as `forward_scores` adds them up.
///
/// Each target has its own SIMD lane, and model nodes are the outer loop: forward once for the sum, and again in blocks
/// of nodes on the way back. Results do not depend on the SIMD target, nor on the other targets. An alignment without
/// operations says that no pair is probable enough, that single precision could not hold the odds, or that the matrix
/// (L x n) has more than `posterior_alignment_cells` cells.
/// O(L n) time, O(L n / 8) bytes a lane; targets of like length are best put side by side.
std::vector<PosteriorAlignment> posterior_alignments(ForwardModel const& model,
                                                     std::span<std::span<Residue const> const> targets,
                                                     float threshold = pair_threshold);

inline constexpr std::size_t posterior_alignment_cells = std::size_t{1} << 24;

/// Posterior probability that a node's match state emits a residue, L x n, row-major; plain double precision, the
/// oracle. Overflows beyond 1,000 bits.
std::vector<double> pair_probabilities_reference(ForwardModel const& model, std::span<Residue const> target);

} // namespace tape
