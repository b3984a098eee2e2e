#pragma once

#include "compare/result.hpp"

#include <cstdint>

namespace tape::test {

/// How large the synthetic result is.
struct SyntheticSize {
    int residue_proteins = 60, pair_proteins = 24, class_proteins = 200, variants = 600, seeds = 3;
    int embedding_points = 200, alignment_rows = 12;
};

/// A result with every field filled, of all four kinds of task and six arms, whose truth is known: predictions are
/// drawn so that
///   secondary structure, contacts   msa > transformer > transformer@random > onehot, the union a little above msa
///   remote homology                 transformer > msa
///   fluorescence, stability         transformer > onehot; msa and transformer@random at chance or near it
/// The same seed gives the same result.
Result synthetic_result(SyntheticSize const& size = {}, std::uint64_t seed = 1);

} // namespace tape::test
