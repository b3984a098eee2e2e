#pragma once

#include "data/record.hpp"
#include "features/variant_scores.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// A variant of a wild type, as a list of mutations names it.
struct Variant {
    std::string name;                ///< as written: "A104G:L12P"
    std::vector<Mutation> mutations; ///< none = the wild type
    std::optional<double> measured;
};

/// Reads variants, one a line: mutations joined with ':' (or WT), and where there is a second column a measured value.
///
/// Columns stand apart by tabs, or by commas in a line without tabs; blank lines and lines that start with '#' are left
/// out. A first line whose first column is `mutant`, `mutation`, `mutations` or `variant` names the columns
/// (ProteinGym's files): the measured value is then DMS_score, score, measured, value or fitness, whichever comes first
/// in this list, and other columns are left out.
/// @param first_position  number of the wild type's first residue
/// @throws data_error with file:line for a variant that does not fit the wild type, or a value that is no number
std::vector<Variant> read_variants(std::filesystem::path const& file, Protein const& wild_type,
                                   std::size_t first_position = 1);

/// The variant's sequence. @throws data_error if a mutation lies outside the wild type, does not start from its residue
/// or shares its position with another
std::string mutated(Protein const& wild_type, Variant const& variant, std::size_t first_position = 1);

} // namespace tape
