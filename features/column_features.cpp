#include "features/column_features.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tape {
namespace {

/// Each column's value mixed with those of its neighbours: half its own, half the mean of up to three on either side.
std::vector<float> windowed(std::vector<double> const& values) {
    constexpr std::size_t window = 3;
    constexpr double share = 0.5;
    std::vector<float> result(values.size());
    for (std::size_t c = 0; c < values.size(); ++c) {
        std::size_t const first = c < window ? 0 : c - window, last = std::min(values.size(), c + window + 1);
        double sum = -values[c];
        for (std::size_t k = first; k < last; ++k) sum += values[k];
        auto const neighbours = static_cast<double>(last - first - 1);
        result[c] =
            static_cast<float>(neighbours == 0 ? values[c] : (1 - share) * values[c] + share * sum / neighbours);
    }
    return result;
}

/// Whether the row has an insertion after each of its L columns.
std::vector<bool> insertions_after(MsaRow const& row) {
    std::vector<bool> after(row.columns.size(), false);
    std::size_t columns = 0;
    for (char const letter : row.insertions) {
        bool const inserted = letter >= 'a' && letter <= 'z';
        if (inserted && columns > 0) after[columns - 1] = true;
        columns += !inserted;
    }
    return after;
}

std::vector<float> ratios(std::vector<double> const& part, std::vector<double> const& whole) {
    std::vector<float> result(part.size());
    for (std::size_t c = 0; c < part.size(); ++c)
        result[c] = whole[c] > 0 ? static_cast<float>(part[c] / whole[c]) : 0.f;
    return result;
}

} // namespace

double jensen_shannon_divergence(std::span<float const> p, std::span<double const> q) {
    double sum = 0, total = 0;
    for (std::size_t a = 0; a < p.size(); ++a) {
        double const x = static_cast<double>(p[a]), mean = (x + q[a]) / 2;
        total += x;
        if (x > 0) sum += x * std::log2(x / mean) / 2;
        if (q[a] > 0) sum += q[a] * std::log2(q[a] / mean) / 2;
    }
    return total > 0 ? sum : 0;
}

ColumnFeatures column_features(Msa const& msa, Profile const& profile, std::span<float const> weights) {
    std::size_t const length = msa.length();
    if (weights.size() != msa.depth())
        throw error{"column features: " + std::to_string(weights.size()) + " weights for " +
                    std::to_string(msa.depth()) + " rows"};
    std::vector<double> spanning(length), spanning_next(length), gaps(length), insertions(length), depth(length);
    for (std::size_t r = 0; r < msa.depth(); ++r) {
        auto const& columns = msa.rows[r].columns;
        auto const is_residue = [](Residue code) { return code < amino_acid_count; };
        auto const first = static_cast<std::size_t>(std::ranges::find_if(columns, is_residue) - columns.begin());
        auto const end = length - static_cast<std::size_t>(std::find_if(columns.rbegin(), columns.rend(), is_residue) -
                                                           columns.rbegin());
        auto const inserted = insertions_after(msa.rows[r]);
        double const weight = static_cast<double>(weights[r]);
        for (std::size_t c = first; c < end; ++c) {
            spanning[c] += weight;
            (is_residue(columns[c]) ? depth[c] : gaps[c]) += is_residue(columns[c]) ? 1 : weight;
            if (c + 1 == end) continue;
            spanning_next[c] += weight;
            if (inserted[c]) insertions[c] += weight;
        }
    }
    std::vector<double> divergence(length);
    for (std::size_t c = 0; c < length; ++c) {
        std::span<float const> const counts{&profile.counts(static_cast<Eigen::Index>(c), 0), 20};
        divergence[c] = jensen_shannon_divergence(counts, background_frequencies) *
                        (1 - static_cast<double>(profile.gap_fraction[c]));
    }
    double const fullest = length == 0 ? 0 : *std::ranges::max_element(depth);
    return {.conservation = windowed(divergence),
            .insertion_rate = ratios(insertions, spanning_next),
            .gap_rate = ratios(gaps, spanning),
            .relative_depth = ratios(depth, std::vector<double>(length, fullest))};
}

} // namespace tape
