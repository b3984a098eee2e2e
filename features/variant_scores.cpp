#include "features/variant_scores.hpp"

#include "data/error.hpp"
#include "features/placement.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace tape {
namespace {

std::string name_of(Mutation const& mutation, std::size_t first_position) {
    return residue_letter(mutation.from) + std::to_string(mutation.column + first_position) +
           residue_letter(mutation.to);
}

Mutation parse_mutation(std::string_view text, std::size_t first_position) {
    std::string const where = "mutation '" + std::string{text} + "': ";
    std::size_t position = 0;
    bool well_formed = text.size() >= 3 && text[1] >= '0' && text[1] <= '9';
    if (well_formed) {
        auto const [rest, problem] = std::from_chars(text.data() + 1, text.data() + text.size() - 1, position);
        well_formed = problem == std::errc{} && rest == text.data() + text.size() - 1;
    }
    if (!well_formed) throw data_error{where + "expected a residue, a position and a residue, such as A104G"};
    Mutation mutation{.from = residue_code(text.front()), .to = residue_code(text.back())};
    for (char const letter : {text.front(), text.back()})
        if (residue_code(letter) >= amino_acid_count)
            throw data_error{where + "'" + letter + "' is none of the 20 amino acids " + std::string{amino_acids}};
    if (position < first_position) throw data_error{where + "positions start at " + std::to_string(first_position)};
    mutation.column = position - first_position;
    return mutation;
}

std::shared_ptr<PottsModel const> fitted(Msa const& msa, VariantOptions const& options) {
    PottsOptions model = options.model;
    model.threads = options.threads;
    return std::make_shared<PottsModel const>(fit_potts(msa, identity_weights(msa, 0.8, options.threads), model));
}

} // namespace

std::vector<Mutation> parse_mutations(std::string_view text, std::size_t first_position) {
    std::vector<Mutation> mutations;
    while (!text.empty()) {
        std::size_t const end = text.find(':');
        mutations.push_back(parse_mutation(text.substr(0, end), first_position));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
        if (text.empty()) throw data_error{"mutations end with ':'; expected another one, such as A104G"};
    }
    return mutations;
}

std::vector<Mutation> mutations_of(std::span<Residue const> variant, std::span<Residue const> query) {
    auto const placement = place(variant, query);
    if (!placement)
        throw data_error{"the variant (" + std::to_string(variant.size()) + " residues) does not lie on the query (" +
                         std::to_string(query.size()) + "): fewer than 80% of its residues agree with it anywhere"};
    std::vector<Mutation> mutations;
    for (std::size_t r = 0; r < variant.size(); ++r) {
        if (placement->columns[r] < 0) continue;
        auto const column = static_cast<std::size_t>(placement->columns[r]);
        Residue const from = query[column], to = variant[r];
        if (from != to && from < amino_acid_count && to < amino_acid_count) mutations.push_back({from, to, column});
    }
    return mutations;
}

void check_mutations(std::span<Mutation const> mutations, std::span<Residue const> query, std::size_t first_position) {
    std::vector<std::size_t> columns;
    for (Mutation const& mutation : mutations) {
        std::string const where = "mutation '" + name_of(mutation, first_position) + "': ";
        if (mutation.column >= query.size())
            throw data_error{where + "the query ends at " + std::to_string(query.size() + first_position - 1)};
        if (query[mutation.column] != mutation.from)
            throw data_error{where + "the query has " + residue_letter(query[mutation.column]) + " there, not " +
                             residue_letter(mutation.from) + "; positions count from " +
                             std::to_string(first_position) + " at the query's first residue"};
        if (std::ranges::find(columns, mutation.column) != columns.end())
            throw data_error{where + "the variant has another mutation at this position"};
        columns.push_back(mutation.column);
    }
}

VariantScorer::VariantScorer(Msa const& msa, VariantOptions const& options)
    : VariantScorer{msa, msa.rows.at(0).columns, options.potts ? fitted(msa, options) : nullptr, options.threads} {}

VariantScorer::VariantScorer(Msa const& msa, std::span<Residue const> wild_type,
                             std::shared_ptr<PottsModel const> model, int threads)
    : query_(wild_type.begin(), wild_type.end()),
      profile_{make_profile(msa, {.neff_identity = false, .threads = threads})}, model_{std::move(model)} {
    if (query_.size() != msa.length())
        throw data_error{"the wild type has " + std::to_string(query_.size()) + " residues, its alignment " +
                         std::to_string(msa.length()) + " columns"};
}

VariantScores VariantScorer::score(std::span<Mutation const> mutations, std::size_t first_position) const {
    check_mutations(mutations, query_, first_position);
    std::vector<Residue> variant = query_;
    VariantScores scores;
    for (Mutation const& mutation : mutations) {
        auto const column = static_cast<Eigen::Index>(mutation.column);
        scores.entropy += static_cast<double>(profile_.entropy[mutation.column]) - std::log(20.0);
        scores.log_odds += std::log(static_cast<double>(profile_.frequencies(column, mutation.to))) -
                           std::log(static_cast<double>(profile_.frequencies(column, mutation.from)));
        if (model_) scores.potts += model_->exchange(variant, mutation.column, mutation.to);
        variant[mutation.column] = mutation.to;
    }
    return scores;
}

} // namespace tape
