#include "features/msa_channels.hpp"

#include "align/substitution.hpp"
#include "data/error.hpp"
#include "features/coevolution.hpp"
#include "features/onehot.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace tape {
namespace {

constexpr float score_scale = 4;    // bits of a channel unit: scores run from about -6 to 6
constexpr float log_neff_scale = 4; // log Neff runs to about 9

constexpr int frequency_begin = 0, score_begin = 20, scalars_begin = 40, onehot_begin = 48;
constexpr int row_width = onehot_begin + OneHotSource::width;

// Kyte & Doolittle hydropathy / 4.5 and Zamyatnin volumes / 100 A^3, by residue code.
constexpr std::array<float, 20> hydropathy{1.8f / 4.5f,  2.5f / 4.5f,  -3.5f / 4.5f, -3.5f / 4.5f, 2.8f / 4.5f,
                                           -0.4f / 4.5f, -3.2f / 4.5f, 4.5f / 4.5f,  -3.9f / 4.5f, 3.8f / 4.5f,
                                           1.9f / 4.5f,  -3.5f / 4.5f, -1.6f / 4.5f, -3.5f / 4.5f, -4.5f / 4.5f,
                                           -0.8f / 4.5f, -0.7f / 4.5f, 4.2f / 4.5f,  -0.9f / 4.5f, -1.3f / 4.5f};
constexpr std::array<float, 20> volume{0.886f, 1.085f, 1.111f, 1.384f, 1.899f, 0.601f, 1.532f, 1.667f, 1.686f, 1.667f,
                                       1.629f, 1.141f, 1.127f, 1.438f, 1.734f, 0.890f, 1.161f, 1.400f, 2.278f, 1.936f};

/// Jensen-Shannon divergence in bits: 0 for the background itself, at most 1.
float divergence(Eigen::Matrix<float, 1, 20> const& column) {
    double sum = 0;
    for (int a = 0; a < amino_acid_count; ++a) {
        double const p = column(a), b = background_frequencies[a], middle = 0.5 * (p + b);
        if (p > 0) sum += 0.5 * p * std::log2(p / middle);
        sum += 0.5 * b * std::log2(b / middle);
    }
    return static_cast<float>(std::max(0.0, sum));
}

void check_length(Profile const& profile, std::span<Residue const> residues) {
    if (profile.frequencies.rows() != static_cast<Eigen::Index>(residues.size()))
        throw error{"a profile of " + std::to_string(profile.frequencies.rows()) + " columns for " +
                    std::to_string(residues.size()) + " residues"};
}

std::vector<std::string> make_residue_channels() {
    std::vector<std::string> names;
    for (auto const* prefix : {"frequency_", "score_"})
        for (char const letter : amino_acids) names.push_back(std::string{prefix} + letter);
    for (auto const* name : {"entropy", "gap_fraction", "log_neff_column", "log_neff", "divergence", "own_frequency",
                             "own_score", "own_minus_best"})
        names.emplace_back(name);
    for (char const letter : amino_acids) names.push_back(std::string{"residue_"} + letter);
    names.emplace_back("residue_other");
    return names;
}

constexpr std::array variant_names{"mutations",
                                   "sum_score",
                                   "min_score",
                                   "sum_loss",
                                   "sum_entropy",
                                   "sum_conservation",
                                   "sum_conserved_loss",
                                   "sum_gap_fraction",
                                   "unseen",
                                   "at_conserved",
                                   "at_middle",
                                   "at_variable",
                                   "sum_substitution",
                                   "hydropathy_change",
                                   "volume_change",
                                   "to_proline",
                                   "from_glycine",
                                   "deletions",
                                   "insertions",
                                   "deleted_conservation",
                                   "mutations_squared",
                                   "sum_score_squared"};

/// The differences of a protein from its alignment's query, summed up. Field order is that of `variant_names`.
struct VariantTerms {
    float mutations = 0, sum_score = 0, min_score = 0, sum_loss = 0, sum_entropy = 0, sum_conservation = 0,
          sum_conserved_loss = 0, sum_gap_fraction = 0, unseen = 0, at_conserved = 0, at_middle = 0, at_variable = 0,
          sum_substitution = 0, hydropathy_change = 0, volume_change = 0, to_proline = 0, from_glycine = 0;
    Indels indels;

    void add(Profile const& profile, Eigen::Index column, Residue from, Residue to) {
        auto const c = static_cast<std::size_t>(column);
        float const entropy = profile.entropy[c], log20 = std::log(20.f), conservation = log20 - entropy;
        float const change = profile.scores(column, to) - profile.scores(column, from);
        mutations += 1, sum_score += change;
        min_score = std::min(min_score, change), sum_loss += std::min(0.f, change);
        sum_entropy += entropy, sum_conservation += conservation;
        sum_conserved_loss += std::min(0.f, change) * conservation / log20;
        sum_gap_fraction += profile.gap_fraction[c];
        unseen += profile.counts(column, to) <= 0 ? 1.f : 0.f;
        (entropy < 0.5f ? at_conserved : entropy < 1.5f ? at_middle : at_variable) += 1;
        sum_substitution += blosum62[from][to];
        hydropathy_change += std::abs(hydropathy[to] - hydropathy[from]) * conservation / log20;
        volume_change += std::abs(volume[to] - volume[from]) * conservation / log20;
        to_proline += residue_letter(to) == 'P' ? 1.f : 0.f;
        from_glycine += residue_letter(from) == 'G' ? 1.f : 0.f;
    }

    [[nodiscard]] std::array<float, variant_names.size()> values() const {
        return {mutations,
                sum_score,
                min_score,
                sum_loss,
                sum_entropy,
                sum_conservation,
                sum_conserved_loss,
                sum_gap_fraction,
                unseen,
                at_conserved,
                at_middle,
                at_variable,
                sum_substitution,
                hydropathy_change,
                volume_change,
                to_proline,
                from_glycine,
                indels.deletions,
                indels.insertions,
                indels.deleted_conservation,
                mutations * mutations / 10,
                sum_score * sum_score / 100};
    }
};

std::vector<std::string> make_pooled_channels() {
    std::vector<std::string> names;
    for (auto const& name : msa_residue_channels()) names.push_back("mean_" + name);
    names.insert(names.end(), variant_names.begin(), variant_names.end());
    return names;
}

/// Puts an L x L map into one channel of the pairs.
void fill_channel(std::vector<float>& pairs, std::size_t channel, std::vector<float> const& map) {
    std::size_t const channels = msa_pair_channels().size();
    for (std::size_t p = 0; p < map.size(); ++p) pairs[p * channels + channel] = map[p];
}

} // namespace

std::vector<std::string> const& msa_residue_channels() {
    static auto const names = make_residue_channels();
    return names;
}

std::vector<std::string> const& msa_pooled_channels() {
    static auto const names = make_pooled_channels();
    return names;
}

std::vector<std::string> const& msa_pair_channels() {
    static std::vector<std::string> const names{"mutual_information", "direct_coupling", "inverse_covariance",
                                                "separation"};
    return names;
}

FeatureMatrix msa_column_rows(Profile const& profile) {
    Eigen::Index const length = profile.frequencies.rows();
    FeatureMatrix rows = FeatureMatrix::Zero(length, row_width);
    rows.middleCols<20>(frequency_begin) = profile.frequencies;
    rows.middleCols<20>(score_begin) = profile.scores / score_scale;
    for (Eigen::Index i = 0; i < length; ++i) {
        auto const c = static_cast<std::size_t>(i);
        auto scalars = rows.row(i).segment<onehot_begin - scalars_begin>(scalars_begin);
        scalars(0) = profile.entropy[c], scalars(1) = profile.gap_fraction[c],
        scalars(2) = std::log(profile.neff_column[c]);
        scalars(3) = std::log(std::max(1.f, profile.neff_identity)) / log_neff_scale;
        scalars(4) = divergence(profile.frequencies.row(i));
    }
    return rows;
}

FeatureMatrix with_residues(FeatureMatrix column_rows, std::span<Residue const> protein) {
    if (column_rows.rows() != static_cast<Eigen::Index>(protein.size()))
        throw error{"rows of " + std::to_string(column_rows.rows()) + " columns for " + std::to_string(protein.size()) +
                    " residues"};
    for (Eigen::Index i = 0; i < column_rows.rows(); ++i) {
        auto row = column_rows.row(i);
        Residue const own = protein[static_cast<std::size_t>(i)];
        if (own < amino_acid_count) {
            row(scalars_begin + 5) = row(frequency_begin + own), row(scalars_begin + 6) = row(score_begin + own);
            row(scalars_begin + 7) = row(score_begin + own) - row.segment<20>(score_begin).maxCoeff();
        }
        row(onehot_begin + onehot_channel(own)) = 1;
    }
    return column_rows;
}

FeatureMatrix msa_rows(Profile const& profile, std::span<Residue const> protein) {
    return with_residues(msa_column_rows(profile), protein);
}

std::vector<float> msa_pooled(FeatureMatrix const& rows, Profile const& profile, std::span<Residue const> protein,
                              std::span<Residue const> query, Indels const& indels) {
    check_length(profile, protein), check_length(profile, query);
    std::vector<float> pooled(msa_pooled_channels().size(), 0.f);
    if (rows.rows() > 0) Eigen::Map<Eigen::RowVectorXf>(pooled.data(), row_width) = rows.colwise().mean();
    VariantTerms terms;
    terms.indels = indels;
    for (std::size_t c = 0; c < protein.size(); ++c)
        if (protein[c] != query[c] && protein[c] < amino_acid_count && query[c] < amino_acid_count)
            terms.add(profile, static_cast<Eigen::Index>(c), query[c], protein[c]);
    std::ranges::copy(terms.values(), pooled.begin() + row_width);
    return pooled;
}

std::vector<float> msa_pairs(Msa const& msa, int threads) {
    std::size_t const length = msa.length(), channels = msa_pair_channels().size();
    std::vector<float> pairs(length * length * channels, 0.f);
    if (msa.depth() > 1) {
        auto const weights = identity_weights(msa, 0.8, threads);
        auto const finish = [length](std::vector<float> const& map) {
            return standardised(average_product_correction(map, length), length);
        };
        fill_channel(pairs, 0, finish(mutual_information(msa, weights)));
        fill_channel(pairs, 1, finish(mean_field_couplings(msa, weights)));
        fill_channel(pairs, 2, finish(shrunk_inverse_covariance(msa, weights)));
    }
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            pairs[(i * length + j) * channels + 3] = std::log1p(static_cast<float>(i > j ? i - j : j - i)) / 5;
    return pairs;
}

} // namespace tape
