#pragma once

#include "align/position_scores.hpp"
#include "align/profile_hmm.hpp"
#include "data/alphabet.hpp"

#include <span>
#include <vector>

namespace tape {

/// A profile HMM of Plan 7 topology as local alignment sees it: emissions as odds against the background, insertions
/// emitting background.
struct ForwardModel {
    static constexpr int row_width = 32; ///< by residue code; the last one lies beyond a sequence and has odds 0

    /// Probabilities of the steps that leave a node.
    struct Node {
        float match_match, match_insert, match_delete, insert_match, insert_insert, delete_match, delete_delete;
    };

    std::vector<float> odds; ///< L x 32, row-major
    std::vector<Node> nodes; ///< L

    [[nodiscard]] std::size_t length() const { return nodes.size(); }
};

/// Probabilities of opening an insertion or a deletion, each, and of going on with it.
struct GapProbabilities {
    double open, extend;
};

/// Odds exp(lambda s) of scores in half bits, lambda BLOSUM62's ungapped one; the same gaps at every node.
ForwardModel make_forward_model(PositionScores const& scores, GapProbabilities gaps);

/// The same with a profile HMM's transitions ((L + 1) x 7, the first row leaving the begin state).
ForwardModel make_forward_model(PositionScores const& scores, TransitionMatrix const& transitions);

/// Local Forward scores in bits: log2 of the sum, over all local alignments of the model with the sequence, of their
/// odds. An alignment begins and ends in any match state, free of charge. -infinity for an empty sequence.
///
/// Each target has its own SIMD lane, and model nodes are the outer loop: no step crosses lanes, and two floats a
/// residue are all that is kept. A lane whose sum passes 2^60 gets that power taken out of it. Products are rounded
/// before they are added on every machine, so scores do not depend on the SIMD target, nor on the other targets.
/// O(L n / lanes) time, O(n lanes) memory; targets of like length are best put side by side.
std::vector<double> forward_scores(ForwardModel const& model, std::span<std::span<Residue const> const> targets);

/// Bits of the one alignment that matches every node with the residue in its place; as many residues as nodes.
double bits_along_diagonal(ForwardModel const& model, std::span<Residue const> target);

/// Plain double precision; the oracle. Overflows beyond 1,000 bits.
double forward_score_reference(ForwardModel const& model, std::span<Residue const> target);

} // namespace tape
