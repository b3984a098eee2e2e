#include "compare/experiment_figures.hpp"

#include "align/profile.hpp"
#include "compare/metrics.hpp"
#include "compare/tsne.hpp"
#include "data/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

namespace tape {

namespace {

int mutation_count(Example const& example) {
    auto const found = example.attributes.find("num_mutations");
    return found == example.attributes.end() ? -1 : std::stoi(found->second);
}

/// The unmutated protein, else the most common residue at each position of the proteins that have the first one's
/// length.
std::string wild_type_of(std::span<Example const> variants) {
    for (auto const& variant : variants)
        if (mutation_count(variant) == 0) return variant.protein.residues;
    std::vector<std::array<int, 128>> counts(variants.front().protein.residues.size());
    for (auto& column : counts) column.fill(0);
    for (auto const& variant : variants)
        if (variant.protein.residues.size() == counts.size())
            for (std::size_t i = 0; i < counts.size(); ++i)
                ++counts[i][static_cast<unsigned char>(variant.protein.residues[i]) & 127];
    std::string residues;
    for (auto const& column : counts) residues += static_cast<char>(std::ranges::max_element(column) - column.begin());
    return residues;
}

/// Column of the alignment under position 0 of the wild type, for the ungapped shift with most identities.
int best_shift(std::string const& wild_type, std::string const& query) {
    int const length = static_cast<int>(wild_type.size()), columns = static_cast<int>(query.size());
    int best = 0, most = -1;
    for (int shift = -length + 1; shift < columns; ++shift) {
        int identities = 0;
        for (int i = std::max(0, -shift); i < length && i + shift < columns; ++i)
            identities += wild_type[i] == query[i + shift];
        if (identities > most) most = identities, best = shift;
    }
    return best;
}

/// A row over the positions of the wild type, '-' where the alignment has no column.
std::string row_text(std::vector<Residue> const& columns, int shift, std::size_t length) {
    std::string text;
    for (int i = 0; i < static_cast<int>(length); ++i) {
        int const column = i + shift;
        text += column < 0 || column >= static_cast<int>(columns.size()) ? '-' : residue_letter(columns[column]);
    }
    return text;
}

/// Mean value of the variants that differ from the wild type at each position; NaN where none does.
std::vector<double> mean_where_mutated(std::string const& wild_type, std::span<Example const> variants,
                                       bool only_single) {
    std::vector<double> sum(wild_type.size()), count(wild_type.size());
    for (auto const& variant : variants) {
        if (variant.protein.residues.size() != wild_type.size()) continue; // deletions and insertions shift positions
        std::vector<std::size_t> mutated;
        for (std::size_t i = 0; i < wild_type.size(); ++i)
            if (variant.protein.residues[i] != wild_type[i]) mutated.push_back(i);
        if (only_single && mutated.size() != 1) continue;
        for (std::size_t const i : mutated) sum[i] += variant.value, count[i] += 1;
    }
    for (std::size_t i = 0; i < sum.size(); ++i)
        sum[i] = count[i] > 0 ? sum[i] / count[i] : std::numeric_limits<double>::quiet_NaN();
    return sum;
}

/// Linear interpolation between order statistics, as NumPy's default.
double quantile(std::vector<double> const& sorted, double share) {
    double const position = share * static_cast<double>(sorted.size() - 1);
    auto const below = static_cast<std::size_t>(position);
    double const above = sorted[std::min(below + 1, sorted.size() - 1)];
    return sorted[below] + (position - static_cast<double>(below)) * (above - sorted[below]);
}

double spearman_where_known(std::vector<double> const& x, std::vector<double> const& y) {
    std::vector<double> known_x, known_y;
    for (std::size_t i = 0; i < x.size(); ++i)
        if (std::isfinite(x[i]) && std::isfinite(y[i])) known_x.push_back(x[i]), known_y.push_back(y[i]);
    return spearman(known_x, known_y);
}

} // namespace

std::vector<MutationCount> count_mutations(std::span<Example const> variants) {
    std::map<int, std::vector<double>> values;
    for (auto const& variant : variants)
        if (int const mutations = mutation_count(variant); mutations >= 0) values[mutations].push_back(variant.value);
    std::vector<MutationCount> counts;
    for (auto& [mutations, sorted] : values) {
        std::ranges::sort(sorted);
        counts.push_back({.mutations = mutations,
                          .variants = sorted.size(),
                          .low = quantile(sorted, .05),
                          .lower_quartile = quantile(sorted, .25),
                          .median = quantile(sorted, .5),
                          .upper_quartile = quantile(sorted, .75),
                          .high = quantile(sorted, .95)});
    }
    return counts;
}

ShownAlignment shown_alignment(std::string const& task, Protein const& protein, Msa const& alignment,
                               std::size_t shown_rows) {
    ShownAlignment shown{.task = task,
                         .id = protein.id,
                         .source = alignment.source,
                         .depth = alignment.rows.size(),
                         .row_ids = {},
                         .rows = {},
                         .entropy = {}};
    int const shift = best_shift(protein.residues, decode_residues(alignment.rows.front().columns));
    auto const profile = make_profile(alignment);
    for (int i = 0; i < static_cast<int>(protein.residues.size()); ++i) {
        int const column = i + shift;
        bool const covered = column >= 0 && column < static_cast<int>(profile.entropy.size());
        shown.entropy.push_back(covered ? static_cast<float>(profile.entropy[column])
                                        : std::numeric_limits<float>::quiet_NaN());
    }
    std::size_t const count = std::min(shown_rows, alignment.rows.size());
    for (std::size_t k = 0; k < count; ++k) {
        auto const& row = alignment.rows[k * alignment.rows.size() / count];
        shown.row_ids.push_back(row.id);
        shown.rows.push_back(row_text(row.columns, shift, protein.residues.size()));
    }
    return shown;
}

PositionStatistics position_statistics(Msa const& alignment, std::span<Example const> variants,
                                       std::size_t shown_rows) {
    if (variants.empty() || alignment.rows.empty())
        throw data_error{"position statistics need an alignment and variants"};
    PositionStatistics result;
    result.alignment = alignment.source;
    result.wild_type = wild_type_of(variants);
    std::size_t const length = result.wild_type.size();

    int const shift = best_shift(result.wild_type, decode_residues(alignment.rows.front().columns));
    auto const profile = make_profile(alignment);
    for (int i = 0; i < static_cast<int>(length); ++i) {
        int const column = i + shift;
        bool const covered = column >= 0 && column < static_cast<int>(profile.entropy.size());
        result.entropy.push_back(covered ? profile.entropy[column] : std::numeric_limits<double>::quiet_NaN());
    }
    result.mean_value = mean_where_mutated(result.wild_type, variants, false);
    result.mean_single = mean_where_mutated(result.wild_type, variants, true);
    result.spearman_all = spearman_where_known(result.entropy, result.mean_value);
    result.spearman_single = spearman_where_known(result.entropy, result.mean_single);

    result.by_mutations = count_mutations(variants);
    std::size_t const shown = std::min(shown_rows, alignment.rows.size());
    for (std::size_t k = 0; k < shown; ++k) {
        auto const& row = alignment.rows[k * alignment.rows.size() / shown];
        result.row_ids.push_back(row.id);
        result.rows.push_back(row_text(row.columns, shift, length));
    }
    return result;
}

FeatureMatrix joined_evenly(std::span<FeatureMatrix const> parts) {
    if (parts.size() == 1) return parts.front();
    Eigen::Index width = 0, column = 0;
    for (auto const& part : parts) width += part.cols();
    FeatureMatrix joined(parts.front().rows(), width);
    for (auto const& part : parts) {
        Eigen::MatrixXd centred = part.cast<double>();
        centred.rowwise() -= centred.colwise().mean().eval();
        double const deviation = std::sqrt(centred.squaredNorm() / static_cast<double>(part.rows()));
        if (deviation > 0) centred /= deviation; // features that do not vary say nothing
        joined.middleCols(column, part.cols()) = centred.cast<float>();
        column += part.cols();
    }
    return joined;
}

EmbeddingSample embedding_sample(std::string const& source, std::span<Example const> variants,
                                 FeatureMatrix const& pooled, int threads) {
    auto const map = tsne({pooled.data(), static_cast<std::size_t>(pooled.size())}, variants.size(),
                          static_cast<std::size_t>(pooled.cols()), {.threads = threads});
    EmbeddingSample sample{.source = source,
                           .ids = {},
                           .values = {},
                           .mutations = {},
                           .points = map.points,
                           .perplexity = map.perplexity,
                           .kl_divergence = map.kl_divergence};
    for (auto const& variant : variants) {
        sample.ids.push_back(variant.protein.id);
        sample.values.push_back(variant.value);
        sample.mutations.push_back(mutation_count(variant));
    }
    return sample;
}

} // namespace tape
