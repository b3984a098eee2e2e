#pragma once

#include "align/filter.hpp"
#include "align/msa.hpp"
#include "align/search.hpp"
#include "apps/cli.hpp"
#include "features/variant_list.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

// The parts of tape-msa: its options, and its two jobs.
namespace tape::cli {

Program tape_msa_program();

/// What `align_queries` was asked for, checked.
struct MsaSettings {
    std::filesystem::path query, database, clusters, msa_directory, output, hits, variants;
    SearchOptions search;
    FilterOptions filter;
    std::vector<MsaFormat> formats;
    std::vector<std::string> profiles;
    std::string features;
    VariantListOptions variant_options;
    std::vector<std::string> couplings; ///< plm, mean-field, mi
    bool coevolution = false, view = false, html = false, quiet = false, force = false, dry_run = false;
    int threads = 1;

    [[nodiscard]] bool search_only() const { return output.empty(); }
};

/// @throws usage_error
MsaSettings msa_settings(Arguments const& arguments);

/// Profile formats among the choices of --format.
bool is_profile_format(std::string const& name);

/// The variants that --variants lists for the queries.
class QueryVariants {
  public:
    /// @throws data_error as `read_variant_list` and `variants_of_proteins`
    QueryVariants(MsaSettings const& settings, std::span<Protein const> queries);

    [[nodiscard]] bool has(std::size_t query) const { return !by_query_[query].empty(); }
    /// Whatever besides the alignment decides the scores.
    [[nodiscard]] std::string key(std::size_t query) const;
    /// Writes the table of a query's variants, and returns what to tell of it in one line. Without a model there are no
    /// Potts energies.
    std::string write(std::filesystem::path const& file, std::size_t query, Msa const& msa,
                      std::shared_ptr<PottsModel const> model, int threads) const;

  private:
    VariantList list_;
    std::vector<std::vector<ListedVariant>> by_query_;
    std::vector<std::vector<Residue>> residues_; ///< of the queries
};

/// Searches with each query, or takes its ready alignment, and writes its files.
void align_queries(Arguments const& arguments);

/// --set: aligns the proteins of one file with each other.
void align_set(Arguments const& arguments);

} // namespace tape::cli
