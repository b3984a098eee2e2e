#pragma once

#include "align/pair_posteriors.hpp"
#include "align/profile_alignment.hpp"
#include "data/alphabet.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Alignment of a given set of sequences: every residue has a column.
struct FamilyAlignment {
    std::size_t length = 0;                          ///< columns, none of them empty
    std::vector<std::vector<std::uint32_t>> columns; ///< per sequence, in the order given: the column of each residue
};

struct FamilyOptions {
    /// Sets, or subtrees of the guide tree, of up to this many distinct sequences are aligned by the posteriors of all
    /// their pairs; in larger sets such parts are smaller, so that there are at most some 80,000 pairs, and are joined
    /// by the posteriors of a sample. 1 aligns by profiles alone.
    std::size_t part_members = 400;
    int refinement_rounds = 2; ///< passes over the guide tree's bipartitions
    /// Most memory for the posteriors of one part; the tree is cut into parts that need no more.
    std::size_t memory = std::size_t{2} << 30;
    int threads = 1;
};

/// Progressive alignment of a set of sequences.
///
/// Parts of at most `part_members` sequences: posteriors of all pairs under a pair hidden Markov model, guide tree by
/// average linkage on expected accuracy, progressive maximum expected accuracy (Do et al., ProbCons, Genome Res 15:330,
/// 2005) with sequence weights (Liu, Schmidt & Maskell, MSAProbs, Bioinformatics 26:1958, 2010), then re-alignment
/// across the bipartitions of the tree. Above that: guide tree by `subsequence_distances`, parts joined and re-aligned by
/// the posteriors of up to 16 sequences of each side. Sets with a sequence beyond 2,048 residues, whose posteriors would
/// take too much memory, are aligned by `align_profiles` throughout. Sets of more than 2,000 are not re-aligned.
///
/// Equal sequences get equal rows. The same bytes for any number of threads, and the same rows for any order of the
/// sequences.
/// @throws data_error without a sequence, for an empty sequence, or for more sequences than distances fit into 8 GiB
/// O(n^2 L^2) time for a part of n sequences; O(N^2 L^2 / 64 + N L^2) above, 2 N^2 bytes for the distances.
FamilyAlignment align_family(std::span<std::vector<Residue> const> sequences, FamilyOptions const& options = {});

/// One row as letters with '-' where it has no residue; `letters` are the sequence's own.
std::string aligned_letters(FamilyAlignment const& alignment, std::size_t row, std::string_view letters);

} // namespace tape
