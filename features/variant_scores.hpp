#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"
#include "features/potts.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How well variants of a protein agree with its alignment, without any training on measurements.
namespace tape {

/// One residue of the query exchanged for another.
struct Mutation {
    Residue from = unknown_code, to = unknown_code; ///< amino acids, 0-19
    std::size_t column = 0;                         ///< from 0

    bool operator==(Mutation const&) const = default;
};

/// Reads "A104G:L12P": residue, position, residue, joined with ':'. An empty text is the wild type.
///
/// @param first_position  number of the query's first residue
/// @throws data_error naming the mutation if it is not of that form, if a letter is none of the 20 amino acids, or if
///         its position is below `first_position`
std::vector<Mutation> parse_mutations(std::string_view text, std::size_t first_position = 1);

/// @throws data_error if a mutation lies outside the query, does not start from the query's residue, or if two fall on
///         one column
void check_mutations(std::span<Mutation const> mutations, std::span<Residue const> query,
                     std::size_t first_position = 1);

/// The differences of a whole variant sequence from the query, which may start or end elsewhere (features/placement).
/// Residues that the query does not have, unknown ones and deletions are left out.
/// @throws data_error if the variant does not lie on the query
std::vector<Mutation> mutations_of(std::span<Residue const> variant, std::span<Residue const> query);

/// Sums over the mutations; higher is closer to the family, 0 is the wild type.
struct VariantScores {
    double entropy = 0;  ///< column entropy - log 20, nats: how conserved the exchanged residues are
    double log_odds = 0; ///< log p(to) - log p(from) of the profile's frequencies, nats: columns on their own
    double potts = 0;    ///< difference of the Potts model's log weight, nats: all pairs (Hopf et al., Nat Biotechnol
                         ///< 35:128, 2017); 0 without a model
};

struct VariantOptions {
    bool potts = true;
    PottsOptions model = {};
    int threads = 1;
};

/// Scores variants of an alignment's query.
class VariantScorer {
  public:
    /// Builds the profile (Henikoff weights) and the Potts model (weights at 80% identity). Cost as `fit_potts`.
    explicit VariantScorer(Msa const& msa, VariantOptions const& options = {});

    /// With a Potts model that has been fitted to the alignment already; nullptr for none. Variants then start from
    /// `wild_type`, which may differ from the alignment's first row, as relatives of the protein do.
    /// @throws data_error if the wild type does not have the alignment's length
    VariantScorer(Msa const& msa, std::span<Residue const> wild_type, std::shared_ptr<PottsModel const> model,
                  int threads = 1);

    /// @throws data_error as `check_mutations`. O(mutations * L).
    [[nodiscard]] VariantScores score(std::span<Mutation const> mutations, std::size_t first_position = 1) const;

    [[nodiscard]] std::span<Residue const> query() const { return query_; } ///< what variants start from

  private:
    std::vector<Residue> query_;
    Profile profile_;
    std::shared_ptr<PottsModel const> model_;
};

} // namespace tape
