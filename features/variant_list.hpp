#pragma once

#include "data/record.hpp"
#include "features/variant_scores.hpp"

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

// Lists of variants as people keep them, and tables of their scores.
namespace tape {

/// One variant of a list.
struct ListedVariant {
    std::string name;  ///< as written: "A104G:L12P", "WT"
    std::string query; ///< id of its protein; empty if the list does not say
    std::vector<Mutation> mutations;
    std::optional<double> measured;
    std::size_t line = 0; ///< in the list, from 1
};

struct VariantListOptions {
    std::size_t first_position = 1;   ///< number of a query's first residue
    std::string measured_column = {}; ///< empty: `measured` or `DMS_score` where there is one
};

struct VariantList {
    std::string file;
    std::size_t first_position = 1;
    std::vector<ListedVariant> variants;
    bool measured = false; ///< it has a column of measurements
};

/// Reads one variant a line, behind a tab or a comma perhaps its measurement; or a table (tab or comma separated) whose
/// header names a column `mutant`, `mutation` or `variant` (or their plurals), and perhaps `query` or `protein` and one
/// of measurements. Case of column names does not matter; `WT` is the wild type, an empty measurement, NA or NaN none.
/// Blank lines and lines that begin with '#' are skipped.
/// "-" is stdin.
/// @throws data_error with file:line and value for what is no mutation or no number, for a missing column or cell
VariantList read_variant_list(std::filesystem::path const& file, VariantListOptions const& options = {});

/// The protein with the mutations made. @throws data_error as `check_mutations`
std::string mutated(Protein const& protein, std::span<Mutation const> mutations);

/// The variants of each protein, in the order of the list.
/// @throws data_error with file:line, variant and protein if a mutation does not start from the protein's residue or
/// lies outside it, if the list names a protein that is not there, or none although there are several
std::vector<std::vector<ListedVariant>> variants_of_proteins(VariantList const& list,
                                                             std::span<Protein const> proteins);

/// Tab-separated: variant, mutations (their number), entropy, log_odds, potts (with a model), measured (if the list has
/// it).
void write_variant_scores(std::ostream& out, VariantList const& list, std::span<ListedVariant const> variants,
                          std::span<VariantScores const> scores, bool potts);

} // namespace tape
