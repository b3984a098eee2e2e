#pragma once

#include "compare/metrics.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

// Resampling: how sure a metric is, and how sure a difference. Every random number is drawn from the seed given, so
// that a report has the same bytes whenever it is made and however many threads make it.
namespace tape {

struct ResamplingOptions {
    int resamples = 1000;     ///< of the bootstrap
    int permutations = 10000; ///< of the sign-flip test
    double level = 0.95;
    std::uint64_t seed = 0;
    int threads = 0; ///< 0 = all
};

/// A value and its interval; all NaN where the metric is undefined.
struct Interval {
    double value = 0, low = 0, high = 0;
};

/// A metric of several arms: [arm][seed], all over the same examples. Arms may have unlike numbers of seeds.
using ScoreTable = std::vector<std::vector<ExampleScores>>;

/// Metric of every arm in every resample: [table][arm][resample].
///
/// A resample draws as many examples as there are, with replacement, and as many seeds as an arm has, with replacement;
/// the metric is averaged over the seeds drawn. The draws are shared by all arms and tables, so that differences
/// between arms are paired by example and, where seeds are shared, by seed (Efron & Tibshirani, An Introduction to the
/// Bootstrap, 1993, chapters 6-8). Rank correlations are exact: examples are sorted once, and a resample walks the
/// sorted order with multiplicities. O(resamples x runs x n) time after O(runs x n log n); O(tables x arms x resamples)
/// memory.
/// @throws error if two runs differ in their number of examples.
std::vector<std::vector<std::vector<double>>> bootstrap(std::span<ScoreTable const> tables,
                                                        ResamplingOptions const& options);

/// The same for any measure that can be had from multiplicities: mean over the seeds drawn of `value(seed, weights)`,
/// in each resample, with the draws of `bootstrap`. `value` is called from several threads.
std::vector<double>
bootstrap_mean(std::size_t examples, std::size_t seeds,
               std::function<double(std::size_t seed, std::span<std::uint16_t const> weights)> const& value,
               ResamplingOptions const& options);

/// Percentile interval, interpolating linearly between order statistics. Undefined replicates are left out; NaN bounds
/// if more than half are.
Interval percentile_interval(double value, std::vector<double> replicates, double level);

/// Two-sided paired test: under the null hypothesis the two arms' answers to an example may be swapped, so that each
/// contribution's sign is a coin. Exact (all 2^n) when 2^n is at most `permutations`, else (1 + hits) / (1 +
/// permutations).
/// @param contributions  per example; their sum is the difference of interest
/// @return               p-value; 1 if all contributions are zero
/// O(permutations x n / 4) time.
double sign_flip_test(std::span<double const> contributions, ResamplingOptions const& options);

/// Per-example contributions to the difference of two arms, a - b, averaged over seeds: their sum is the difference of
/// the metric. Ratio: (first_a - first_b) / sum of second; the second values must not depend on the arm. Correlations:
/// difference of standardised predictions (of ranks for Spearman) times the standardised truth, divided by n.
std::vector<double> paired_contributions(std::span<ExampleScores const> a, std::span<ExampleScores const> b);

/// Holm's step-down correction (Scand J Statist 6:65, 1979). NaN stays NaN and counts as no test.
std::vector<double> holm(std::span<double const> p_values);

} // namespace tape
