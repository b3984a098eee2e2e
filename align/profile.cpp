#include "align/profile.hpp"

#include "align/bit_rows.hpp"
#include "align/substitution.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>

namespace tape {
namespace {

bool is_residue(Residue code) { return code < amino_acid_count; }

void check_rectangular(Msa const& msa) {
    for (auto const& row : msa.rows) {
        if (!row.columns.empty() && *std::ranges::max_element(row.columns) >= residue_code_count)
            throw data_error{"alignment row '" + row.id + "' holds a code above " +
                             std::to_string(residue_code_count - 1)};
        if (row.columns.size() != msa.length())
            throw data_error{"alignment row '" + row.id + "' has " + std::to_string(row.columns.size()) +
                             " columns where the query has " + std::to_string(msa.length())};
    }
}

// ---- identity weights ----------------------------------------------------------------------------------------------

/// Number of similar rows, the row itself included. Each pair is compared once; counts are integers added over the
/// workers, so their order does not matter.
std::vector<int> neighbour_counts(BitRows const& rows, std::size_t depth, double identity, int threads) {
    constexpr std::size_t tile = 128; // two tiles of rows of 1,000 columns stay in the second-level cache
    std::size_t const tiles = (depth + tile - 1) / tile;
    int const workers = resolve_threads(threads);
    std::vector<std::vector<int>> counts(workers, std::vector<int>(depth, 0));
    parallel_for(tiles * (tiles + 1) / 2, workers, [&](std::size_t index, int worker) {
        // index -> (big, small) with small <= big, row by row of the triangle.
        auto big = static_cast<std::size_t>((std::sqrt(8.0 * static_cast<double>(index) + 1) - 1) / 2);
        while (big * (big + 1) / 2 > index) --big;
        while ((big + 1) * (big + 2) / 2 <= index) ++big;
        std::size_t const small = index - big * (big + 1) / 2;
        for (std::size_t i = big * tile; i < std::min(depth, (big + 1) * tile); ++i)
            for (std::size_t j = small * tile; j < std::min(i, (small + 1) * tile); ++j)
                if (rows.similar(i, j, identity)) ++counts[worker][i], ++counts[worker][j];
    });
    std::vector<int> total(depth, 1);
    for (auto const& part : counts)
        for (std::size_t r = 0; r < depth; ++r) total[r] += part[r];
    return total;
}

// ---- column statistics ---------------------------------------------------------------------------------------------

/// Weighted residue sums per column (L x 20) and gap weights (L).
struct ColumnSums {
    Eigen::Matrix<double, Eigen::Dynamic, 20, Eigen::RowMajor> residues;
    std::vector<double> gaps;
};

ColumnSums column_sums(Msa const& msa, std::span<float const> weights) {
    std::size_t const length = msa.length();
    std::vector<double> sums(length * residue_code_count, 0.0);
    for (std::size_t r = 0; r < msa.depth(); ++r) {
        double const weight = weights[r];
        auto const& columns = msa.rows[r].columns;
        for (std::size_t c = 0; c < length; ++c) sums[c * residue_code_count + columns[c]] += weight;
    }
    ColumnSums result{.residues{length, 20}, .gaps = std::vector<double>(length)};
    for (std::size_t c = 0; c < length; ++c) {
        for (int a = 0; a < amino_acid_count; ++a) result.residues(c, a) = sums[c * residue_code_count + a];
        result.gaps[c] = sums[c * residue_code_count + gap_code];
    }
    return result;
}

/// Entropy in nats of unnormalised non-negative values; 0 for an empty distribution.
template <typename Value> double entropy_of(Value const* values, double total) {
    if (total <= 0) return 0;
    double sum = 0; // H = log T - (sum v log v) / T
    for (int a = 0; a < amino_acid_count; ++a)
        if (values[a] > 0) sum += static_cast<double>(values[a]) * std::log(static_cast<double>(values[a]));
    return std::max(0.0, std::log(total) - sum / total);
}

/// Sub-alignments of neighbouring columns differ by the rows that begin or end between them, so the column counts are
/// kept up to date: every row enters and leaves once. Weights are fixed-point integers, so that what entered leaves
/// exactly.
class SubAlignment {
  public:
    SubAlignment(Msa const& msa, std::span<float const> weights)
        : length_{msa.length()}, counts_(length_ * amino_acid_count), spanning_(length_) {
        double const scale = fixed_point_one / std::max(1e-30f, *std::ranges::max_element(weights));
        entering_.resize(length_), leaving_.resize(length_);
        for (std::size_t r = 0; r < msa.depth(); ++r) {
            auto const& columns = msa.rows[r].columns;
            auto const first = std::ranges::find_if(columns, is_residue);
            auto const fixed = static_cast<std::int64_t>(std::llround(weights[r] * scale));
            if (first == columns.end() || fixed == 0) continue;
            auto const last = std::find_if(columns.rbegin(), columns.rend(), is_residue).base();
            Span const span{&columns, static_cast<std::size_t>(first - columns.begin()),
                            static_cast<std::size_t>(last - columns.begin()), fixed};
            entering_[span.begin].push_back(span);
            leaving_[span.end - 1].push_back(span);
        }
    }

    /// Neff at every column; `whole` where the sub-alignment is too short to say.
    std::vector<float> neff(double whole) {
        std::vector<float> result(length_);
        std::int64_t changed = 0;
        double current = whole;
        for (std::size_t c = 0; c < length_; ++c) {
            for (auto const& span : entering_[c]) add(span, 1), changed += span.weight;
            // A change of less than 1% of the weight is carried over: it moves the mean entropy by less than a tenth of
            // a nat.
            if (changed * 200 >= total_) current = evaluate(whole), changed = 0;
            result[c] = static_cast<float>(std::max(1.0, current));
            for (auto const& span : leaving_[c]) add(span, -1), changed += span.weight;
        }
        return result;
    }

  private:
    struct Span {
        std::vector<Residue> const* columns;
        std::size_t begin, end; ///< half-open, first to last residue
        std::int64_t weight;
    };
    static constexpr double fixed_point_one = 1 << 24;

    void add(Span const& span, std::int64_t sign) {
        total_ += sign * span.weight;
        for (std::size_t c = span.begin; c < span.end; ++c) {
            spanning_[c] += sign * span.weight;
            if (Residue const code = (*span.columns)[c]; is_residue(code))
                counts_[c * amino_acid_count + code] += sign * span.weight;
        }
    }

    [[nodiscard]] double evaluate(double whole) const {
        double sum = 0;
        std::size_t columns = 0;
        for (std::size_t c = 0; c < length_; ++c) {
            if (static_cast<double>(spanning_[c]) < 0.9 * static_cast<double>(total_)) continue;
            std::int64_t const* counts = &counts_[c * amino_acid_count];
            auto const weight =
                static_cast<double>(std::accumulate(counts, counts + amino_acid_count, std::int64_t{0}));
            sum += entropy_of(counts, weight);
            ++columns;
        }
        return columns < std::min<std::size_t>(20, length_) ? whole : std::exp(sum / static_cast<double>(columns));
    }

    std::size_t length_;
    std::vector<std::int64_t> counts_, spanning_;
    std::int64_t total_ = 0;
    std::vector<std::vector<Span>> entering_, leaving_;
};

void add_pseudocounts(Profile& profile, ProfileOptions const& options) {
    auto const& conditional = blosum62_conditional();
    Eigen::Matrix<float, 20, 20, Eigen::RowMajor> expectation;
    Eigen::Matrix<float, 1, 20> background;
    for (int b = 0; b < amino_acid_count; ++b) {
        background(b) = static_cast<float>(background_frequencies[b]);
        for (int a = 0; a < amino_acid_count; ++a) expectation(b, a) = static_cast<float>(conditional[b][a]);
    }
    profile.frequencies.resize(profile.counts.rows(), 20), profile.scores.resize(profile.counts.rows(), 20);
    for (Eigen::Index c = 0; c < profile.counts.rows(); ++c) {
        double const tau = std::min(1.0, options.pseudocount_a / (1 + profile.neff_column[c] / options.pseudocount_b));
        Eigen::Matrix<float, 1, 20> mixed = background;
        if (profile.counts.row(c).sum() > 0)
            mixed = static_cast<float>(1 - tau) * profile.counts.row(c) +
                    static_cast<float>(tau) * (profile.counts.row(c) * expectation);
        profile.frequencies.row(c) = mixed / mixed.sum();
        profile.scores.row(c) =
            (profile.frequencies.row(c).array() / background.array()).log() * std::numbers::log2e_v<float>;
    }
}

} // namespace

std::vector<float> henikoff_weights(Msa const& msa) {
    check_rectangular(msa);
    std::size_t const length = msa.length();
    std::vector<int> counts(length * residue_code_count, 0);
    for (auto const& row : msa.rows)
        for (std::size_t c = 0; c < length; ++c) ++counts[c * residue_code_count + row.columns[c]];
    std::vector<float> share(length * residue_code_count, 0.f);
    for (std::size_t c = 0; c < length; ++c) {
        int const* column = &counts[c * residue_code_count];
        auto const types = std::count_if(column, column + amino_acid_count, [](int n) { return n > 0; });
        for (int a = 0; a < amino_acid_count; ++a)
            if (column[a] > 0) share[c * residue_code_count + a] = 1.f / static_cast<float>(types * column[a]);
    }
    std::vector<double> weights(msa.depth(), 0.0);
    for (std::size_t r = 0; r < msa.depth(); ++r)
        for (std::size_t c = 0; c < length; ++c) weights[r] += share[c * residue_code_count + msa.rows[r].columns[c]];
    double const total = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<float> scaled(weights.size(), 0.f);
    if (total > 0)
        std::ranges::transform(weights, scaled.begin(), [&](double w) {
            return static_cast<float>(w * static_cast<double>(weights.size()) / total);
        });
    return scaled;
}

std::vector<float> identity_weights(Msa const& msa, double identity, int threads) {
    check_rectangular(msa);
    auto const counts = neighbour_counts(BitRows{msa}, msa.depth(), identity, threads);
    std::vector<float> weights(counts.size());
    std::ranges::transform(counts, weights.begin(), [](int n) { return 1.f / static_cast<float>(n); });
    return weights;
}

Profile make_profile(Msa const& msa, std::span<float const> weights, ProfileOptions const& options) {
    check_rectangular(msa);
    if (weights.size() != msa.depth())
        throw error{"make_profile: " + std::to_string(weights.size()) + " weights for " + std::to_string(msa.depth()) +
                    " rows"};
    std::size_t const length = msa.length();
    auto const sums = column_sums(msa, weights);
    double const total = std::accumulate(weights.begin(), weights.end(), 0.0);
    Profile profile;
    profile.counts.setZero(static_cast<Eigen::Index>(length), 20);
    profile.entropy.resize(length), profile.gap_fraction.resize(length);
    for (std::size_t c = 0; c < length; ++c) {
        double const residues = sums.residues.row(c).sum();
        if (residues > 0) profile.counts.row(c) = (sums.residues.row(c) / residues).cast<float>();
        profile.entropy[c] = static_cast<float>(entropy_of(sums.residues.row(c).data(), residues));
        profile.gap_fraction[c] = static_cast<float>(total > 0 ? sums.gaps[c] / total : 0.0);
    }
    double const mean_entropy =
        length ? std::accumulate(profile.entropy.begin(), profile.entropy.end(), 0.0) / static_cast<double>(length)
               : 0.0;
    profile.neff_entropy = static_cast<float>(std::exp(mean_entropy));
    if (length > 0) profile.neff_column = SubAlignment{msa, weights}.neff(profile.neff_entropy);
    if (options.neff_identity) {
        auto const identities = identity_weights(msa, 0.8, options.threads);
        profile.neff_identity = static_cast<float>(std::accumulate(identities.begin(), identities.end(), 0.0));
    }
    add_pseudocounts(profile, options);
    return profile;
}

Profile make_profile(Msa const& msa, ProfileOptions const& options) {
    return make_profile(msa, henikoff_weights(msa), options);
}

} // namespace tape
