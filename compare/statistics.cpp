#include "compare/statistics.hpp"

#include "compare/random.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

namespace tape {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// Examples in ascending order of a value, with the ends of its tie groups.
struct SortedOrder {
    std::vector<std::uint32_t> order;
    std::vector<std::uint8_t> ends_group;

    explicit SortedOrder(std::span<double const> values) : order(values.size()), ends_group(values.size()) {
        std::iota(order.begin(), order.end(), 0U);
        std::sort(order.begin(), order.end(),
                  [&](auto a, auto b) { return values[a] < values[b] || (values[a] == values[b] && a < b); });
        for (std::size_t k = 0; k < order.size(); ++k)
            ends_group[k] = k + 1 == order.size() || values[order[k + 1]] != values[order[k]];
    }
};

/// Ranks of a resample, centred on (n + 1) / 2, by example; `variance` is their sum of squares over the resample.
struct ResampledRanks {
    std::vector<double> centred;
    double variance = 0;
};

void rank_resample(SortedOrder const& sorted, std::span<std::uint16_t const> weights, ResampledRanks& ranks) {
    double const centre = 0.5 * (static_cast<double>(weights.size()) + 1);
    ranks.centred.resize(weights.size());
    ranks.variance = 0;
    double before = 0;
    for (std::size_t begin = 0; begin < sorted.order.size();) {
        std::size_t end = begin;
        double drawn = 0;
        do drawn += weights[sorted.order[end]];
        while (!sorted.ends_group[end++]);
        double const rank = before + 0.5 * (drawn + 1) - centre;
        for (std::size_t k = begin; k < end; ++k) ranks.centred[sorted.order[k]] = rank;
        ranks.variance += drawn * rank * rank;
        before += drawn;
        begin = end;
    }
}

/// Spearman's rho of a resample from the sorted predictions and the truth's ranks, in one pass.
double resampled_spearman(SortedOrder const& prediction, ResampledRanks const& truth,
                          std::span<std::uint16_t const> weights) {
    double const centre = 0.5 * (static_cast<double>(weights.size()) + 1);
    double before = 0, drawn = 0, truth_sum = 0, covariance = 0, variance = 0;
    for (std::size_t k = 0; k < prediction.order.size(); ++k) {
        std::uint32_t const example = prediction.order[k];
        double const weight = weights[example];
        drawn += weight;
        truth_sum += weight * truth.centred[example];
        if (!prediction.ends_group[k]) continue;
        double const rank = before + 0.5 * (drawn + 1) - centre;
        covariance += rank * truth_sum;
        variance += drawn * rank * rank;
        before += drawn;
        drawn = truth_sum = 0;
    }
    return variance > 0 && truth.variance > 0 ? covariance / std::sqrt(variance * truth.variance) : undefined;
}

double resampled_pearson(ExampleScores const& scores, std::span<std::uint16_t const> weights) {
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    double const shift_x = scores.first[0], shift_y = scores.second[0]; // keeps the sums of squares from cancelling
    for (std::size_t i = 0; i < weights.size(); ++i) {
        double const w = weights[i], u = scores.first[i] - shift_x, v = scores.second[i] - shift_y;
        n += w, x += w * u, y += w * v, xx += w * u * u, yy += w * v * v, xy += w * u * v;
    }
    double const var_x = xx - x * x / n, var_y = yy - y * y / n;
    return var_x > 1e-12 * xx && var_y > 1e-12 * yy ? (xy - x * y / n) / std::sqrt(var_x * var_y) : undefined;
}

double resampled_ratio(ExampleScores const& scores, std::span<std::uint16_t const> weights) {
    double part = 0, whole = 0;
    for (std::size_t i = 0; i < weights.size(); ++i)
        part += weights[i] * scores.first[i], whole += weights[i] * scores.second[i];
    return whole > 0 ? part / whole : undefined;
}

/// A table with what resampling needs sorted beforehand.
struct PreparedTable {
    ScoreTable const& scores;
    MetricKind kind = MetricKind::ratio;
    std::optional<SortedOrder> truth;
    std::vector<std::vector<SortedOrder>> predictions; ///< [arm][seed], spearman only

    explicit PreparedTable(ScoreTable const& table) : scores{table} {
        for (auto const& arm : table)
            for (auto const& run : arm) {
                kind = run.kind;
                if (kind == MetricKind::spearman && !truth) truth.emplace(run.second);
            }
        if (kind != MetricKind::spearman) return;
        for (auto const& arm : table) {
            auto& sorted = predictions.emplace_back();
            for (auto const& run : arm) sorted.emplace_back(run.first);
        }
    }
};

std::size_t example_count(std::span<ScoreTable const> tables) {
    std::optional<std::size_t> count;
    for (auto const& table : tables)
        for (auto const& arm : table)
            for (auto const& run : arm) {
                if (count && *count != run.first.size())
                    throw error{"runs of one task differ in their number of examples"};
                count = run.first.size();
            }
    return count.value_or(0);
}

std::vector<std::uint16_t> draw_weights(Random& random, std::size_t n) {
    std::vector<std::uint16_t> weights(n);
    for (std::size_t i = 0; i < n; ++i) ++weights[random.below(static_cast<std::uint32_t>(n))];
    return weights;
}

/// Positions in [0, 1) that an arm with S seeds reads as seed floor(u S): arms with as many seeds draw the same ones.
std::vector<double> draw_seeds(Random& random, std::size_t most) {
    std::vector<double> draws(most);
    for (double& u : draws) u = random.uniform();
    return draws;
}

double resampled_arm(PreparedTable const& table, std::size_t arm, ResampledRanks const& truth,
                     std::span<std::uint16_t const> weights, std::span<double const> seed_draws) {
    auto const& runs = table.scores[arm];
    if (runs.empty()) return undefined;
    std::vector<double> by_seed(runs.size());
    for (std::size_t s = 0; s < runs.size(); ++s)
        by_seed[s] = table.kind == MetricKind::spearman  ? resampled_spearman(table.predictions[arm][s], truth, weights)
                     : table.kind == MetricKind::pearson ? resampled_pearson(runs[s], weights)
                                                         : resampled_ratio(runs[s], weights);
    double sum = 0;
    for (std::size_t s = 0; s < runs.size(); ++s)
        sum += by_seed[static_cast<std::size_t>(seed_draws[s] * static_cast<double>(runs.size()))];
    return sum / static_cast<double>(runs.size());
}

} // namespace

std::vector<std::vector<std::vector<double>>> bootstrap(std::span<ScoreTable const> tables,
                                                        ResamplingOptions const& options) {
    std::size_t const n = example_count(tables);
    auto const resamples = static_cast<std::size_t>(options.resamples);
    std::vector<PreparedTable> prepared;
    std::size_t most_seeds = 0;
    std::vector<std::vector<std::vector<double>>> values;
    for (auto const& table : tables) {
        prepared.emplace_back(table);
        values.emplace_back(table.size(), std::vector<double>(resamples, undefined));
        for (auto const& arm : table) most_seeds = std::max(most_seeds, arm.size());
    }
    if (n == 0) return values;
    parallel_for(resamples, options.threads, [&](std::size_t b, int) {
        Random random{options.seed, b};
        auto const weights = draw_weights(random, n);
        auto const seed_draws = draw_seeds(random, most_seeds);
        ResampledRanks truth;
        for (std::size_t t = 0; t < prepared.size(); ++t) {
            if (prepared[t].truth) rank_resample(*prepared[t].truth, weights, truth);
            for (std::size_t arm = 0; arm < values[t].size(); ++arm)
                values[t][arm][b] = resampled_arm(prepared[t], arm, truth, weights, seed_draws);
        }
    });
    return values;
}

std::vector<double>
bootstrap_mean(std::size_t examples, std::size_t seeds,
               std::function<double(std::size_t seed, std::span<std::uint16_t const> weights)> const& value,
               ResamplingOptions const& options) {
    std::vector<double> means(static_cast<std::size_t>(options.resamples), undefined);
    if (examples == 0 || seeds == 0) return means;
    parallel_for(means.size(), options.threads, [&](std::size_t b, int) {
        Random random{options.seed, b};
        auto const weights = draw_weights(random, examples);
        auto const seed_draws = draw_seeds(random, seeds);
        std::vector<std::size_t> times(seeds);
        for (double const u : seed_draws) ++times[static_cast<std::size_t>(u * static_cast<double>(seeds))];
        double sum = 0;
        for (std::size_t s = 0; s < seeds; ++s)
            if (times[s] > 0) sum += static_cast<double>(times[s]) * value(s, weights);
        means[b] = sum / static_cast<double>(seeds);
    });
    return means;
}

Interval percentile_interval(double value, std::vector<double> replicates, double level) {
    std::size_t const drawn = replicates.size();
    std::erase_if(replicates, [](double r) { return std::isnan(r); });
    if (std::isnan(value) || replicates.empty() || 2 * replicates.size() < drawn) return {value, undefined, undefined};
    std::sort(replicates.begin(), replicates.end());
    auto const quantile = [&](double share) {
        double const position = share * static_cast<double>(replicates.size() - 1);
        auto const below = static_cast<std::size_t>(position);
        auto const above = std::min(below + 1, replicates.size() - 1);
        return replicates[below] + (position - static_cast<double>(below)) * (replicates[above] - replicates[below]);
    };
    return {value, quantile(0.5 * (1 - level)), quantile(1 - 0.5 * (1 - level))};
}

namespace {

/// Signed sums of groups of four contributions: 16 sign patterns each, so that a permutation adds n / 4 numbers.
class SignedSums {
  public:
    explicit SignedSums(std::span<double const> contributions) : groups_((contributions.size() + 3) / 4) {
        for (std::size_t g = 0; g < groups_.size(); ++g)
            for (unsigned pattern = 0; pattern < 16; ++pattern)
                for (std::size_t k = 0; k < 4 && 4 * g + k < contributions.size(); ++k)
                    groups_[g][pattern] += (pattern >> k & 1U) ? -contributions[4 * g + k] : contributions[4 * g + k];
    }
    /// Sum under random signs.
    [[nodiscard]] double draw(Random& random) const {
        double sum = 0;
        std::uint64_t bits = 0;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            bits = g % 16 == 0 ? random.next() : bits >> 4;
            sum += groups_[g][bits & 15U];
        }
        return sum;
    }
    /// Sum under the signs of the bits of `pattern`.
    [[nodiscard]] double of(std::uint64_t pattern) const {
        double sum = 0;
        for (std::size_t g = 0; g < groups_.size(); ++g) sum += groups_[g][pattern >> (4 * g) & 15U];
        return sum;
    }

  private:
    std::vector<std::array<double, 16>> groups_;
};

} // namespace

double sign_flip_test(std::span<double const> contributions, ResamplingOptions const& options) {
    double observed = 0, scale = 0;
    for (double const c : contributions) observed += c, scale += std::abs(c);
    if (std::isnan(scale)) return undefined;
    if (scale == 0) return 1;
    // Sums of the same numbers in another order differ in their last bits: they count as equal.
    double const threshold = std::abs(observed) - 1e-12 * scale;
    SignedSums const sums{contributions};
    if (contributions.size() < 40 &&
        (std::uint64_t{1} << contributions.size()) <= static_cast<std::uint64_t>(options.permutations)) {
        std::uint64_t const all = std::uint64_t{1} << contributions.size();
        std::uint64_t hits = 0;
        for (std::uint64_t pattern = 0; pattern < all; ++pattern) hits += std::abs(sums.of(pattern)) >= threshold;
        return static_cast<double>(hits) / static_cast<double>(all);
    }
    constexpr std::size_t chunk = 100;
    auto const permutations = static_cast<std::size_t>(options.permutations);
    std::vector<std::size_t> hits((permutations + chunk - 1) / chunk);
    parallel_for(hits.size(), options.threads, [&](std::size_t c, int) {
        Random random{options.seed, c};
        for (std::size_t p = c * chunk; p < std::min((c + 1) * chunk, permutations); ++p)
            hits[c] += std::abs(sums.draw(random)) >= threshold;
    });
    std::size_t const total = std::accumulate(hits.begin(), hits.end(), std::size_t{0});
    return static_cast<double>(1 + total) / static_cast<double>(1 + permutations);
}

namespace {

/// Mean 0, mean square 1; all zero if constant.
std::vector<double> standardise(std::vector<double> values) {
    auto const n = static_cast<double>(values.size());
    bool const constant = std::all_of(values.begin(), values.end(), [&](double v) { return v == values.front(); });
    if (constant) return std::vector<double>(values.size(), 0.0);
    double const mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double square = 0;
    for (double& v : values) v -= mean, square += v * v;
    for (double& v : values) v /= std::sqrt(square / n);
    return values;
}

/// Contributions of one run to its own metric, summing to it.
std::vector<double> contributions_of(ExampleScores const& run) {
    std::vector<double> result(run.first.size());
    if (run.kind == MetricKind::ratio) {
        double const whole = std::accumulate(run.second.begin(), run.second.end(), 0.0);
        for (std::size_t i = 0; i < result.size(); ++i) result[i] = run.first[i] / whole;
        return result;
    }
    bool const ranks = run.kind == MetricKind::spearman;
    auto const x = standardise(ranks ? average_ranks(run.first) : run.first);
    auto const y = standardise(ranks ? average_ranks(run.second) : run.second);
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = x[i] * y[i] / static_cast<double>(result.size());
    return result;
}

} // namespace

std::vector<double> paired_contributions(std::span<ExampleScores const> a, std::span<ExampleScores const> b) {
    std::size_t const n = a.empty() ? 0 : a.front().first.size();
    auto const averaged = [n](std::span<ExampleScores const> runs) {
        std::vector<double> total(n);
        for (auto const& run : runs) {
            auto const one = contributions_of(run);
            for (std::size_t i = 0; i < n; ++i) total[i] += one[i] / static_cast<double>(runs.size());
        }
        return total;
    };
    // Averaged apart and then subtracted, so that equal answers cancel to exactly zero.
    auto difference = averaged(a);
    auto const other = averaged(b);
    for (std::size_t i = 0; i < n; ++i) difference[i] -= other[i];
    return difference;
}

std::vector<double> holm(std::span<double const> p_values) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < p_values.size(); ++i)
        if (!std::isnan(p_values[i])) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p_values[a] < p_values[b]; });
    std::vector<double> adjusted(p_values.begin(), p_values.end());
    double running = 0;
    for (std::size_t k = 0; k < order.size(); ++k) {
        running = std::max(running, std::min(1.0, static_cast<double>(order.size() - k) * p_values[order[k]]));
        adjusted[order[k]] = running;
    }
    return adjusted;
}

} // namespace tape
