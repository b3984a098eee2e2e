#include "apps/tape_msa.hpp"
#include "compare/metrics.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "data/text.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace tape::cli {
namespace {

/// "rho with measured (96 variants): entropy 0.310, log_odds 0.442"
std::string rank_correlations(std::span<ListedVariant const> variants, std::span<VariantScores const> scores,
                              bool potts) {
    std::vector<double> measured, entropy, log_odds, energy;
    for (std::size_t v = 0; v < variants.size(); ++v) {
        if (!variants[v].measured) continue;
        measured.push_back(*variants[v].measured);
        entropy.push_back(scores[v].entropy), log_odds.push_back(scores[v].log_odds), energy.push_back(scores[v].potts);
    }
    auto const rho = [&](std::vector<double> const& score) -> std::string {
        double const value = score.size() < 2 ? NAN : spearman(score, measured);
        if (std::isnan(value)) return "none";
        char text[16];
        std::snprintf(text, sizeof text, "%.3f", value);
        return text;
    };
    return "Spearman's rho with measured (" + counted(measured.size(), "variant") + "): entropy " + rho(entropy) +
           ", log_odds " + rho(log_odds) + (potts ? ", potts " + rho(energy) : "");
}

} // namespace

QueryVariants::QueryVariants(MsaSettings const& settings, std::span<Protein const> queries)
    : list_{read_variant_list(settings.variants, settings.variant_options)}, by_query_{
                                                                                 variants_of_proteins(list_, queries)} {
    for (auto const& query : queries) residues_.push_back(encode_residues(query.residues));
}

std::string QueryVariants::key(std::size_t q) const {
    std::string text = "\nvariants 1 " + std::to_string(list_.first_position) + (list_.measured ? " measured" : "");
    for (auto const& variant : by_query_[q]) {
        text += "\n" + variant.name;
        if (variant.measured) text += " " + std::to_string(std::bit_cast<std::uint64_t>(*variant.measured));
    }
    return text;
}

std::string QueryVariants::write(std::filesystem::path const& file, std::size_t q, Msa const& msa,
                                 std::shared_ptr<PottsModel const> model, int threads) const {
    bool const potts = model != nullptr;
    auto const& variants = by_query_[q];
    VariantScorer const scorer{msa, residues_[q], std::move(model), threads};
    std::vector<VariantScores> scores(variants.size());
    parallel_for(variants.size(), threads,
                 [&](std::size_t v, int) { scores[v] = scorer.score(variants[v].mutations, list_.first_position); });
    write_atomically(file, [&](std::ostream& out) { write_variant_scores(out, list_, variants, scores, potts); });
    std::string const summary = counted(variants.size(), "variant") + " scored";
    return list_.measured ? summary + "; " + rank_correlations(variants, scores, potts) : summary;
}

} // namespace tape::cli
