#pragma once

#include "align/msa.hpp"
#include "data/alphabet.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// Where the residues of a protein lie on the columns of an alignment's query.
struct Placement {
    std::vector<int> columns;         ///< one a residue: its column, or -1 for a residue that the query does not have
    std::vector<int> deleted_columns; ///< columns between the first and the last used one that no residue lies on
    int insertions = 0;               ///< residues at -1 between the first and the last placed one

    bool operator==(Placement const&) const = default;
    /// The placement as text: equal placements have equal texts.
    [[nodiscard]] std::string text() const;
};

/// Lays a protein on a query of nearly the same sequence: at one offset if at least 80% of its residues agree there,
/// else by an alignment with few gaps and free ends (match 2, mismatch -1, gap 5 + 1 a residue), again with at least
/// 80% of the residues agreeing. Nothing if there is no such placement or if the lengths differ by more than a fifth.
/// O(d L) for the offsets, d the difference in length; O(L^2) time and memory only if a tenth of the protein's 6-mers
/// are the query's.
std::optional<Placement> place(std::span<Residue const> protein, std::span<Residue const> query);

/// The alignment over the residues of the placed protein: row 0 is the query there (unknown where it has no residue),
/// rows without any residue are dropped, insertions stay between columns that stay side by side.
Msa placed_alignment(Msa const& msa, Placement const& placement);

} // namespace tape
