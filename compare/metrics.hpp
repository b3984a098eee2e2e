#pragma once

#include "compare/result.hpp"

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// How a metric is put together from its examples, which is all that resampling needs to know.
enum class MetricKind {
    ratio,    ///< sum of first over sum of second: correct / counted
    spearman, ///< rank correlation of first (prediction) with second (truth), average ranks on ties
    pearson   ///< linear correlation of the same
};

/// A metric of a task.
struct Metric {
    std::string name;       ///< "Q3", "P@L/5", "Spearman", ...
    std::string definition; ///< one sentence for the report
    MetricKind kind = MetricKind::ratio;
    bool lower_is_better = false;

    enum class Count {
        resolved_residues,
        labelled_residues,
        protein_share,
        precision,
        top_classes,
        value,
        squared_error
    };
    Count count = Count::value;
    int parameter = 0;                                      ///< precision: divisor of L; top_classes: how many
    int separation_from = 0;                                ///< precision: least |i - j|
    int separation_below = std::numeric_limits<int>::max(); ///< precision: |i - j| stays below
};

/// Metrics of a task, the headline first.
///   residue_class  accuracy over resolved residues (Q3, Q8), over all labelled residues, mean over proteins
///   residue_pair   precision at L/5 of medium and long range (|i-j| >= 12), then every range and L, L/2, L/5
///   protein_class  top-1 and top-10 accuracy
///   protein_value  Spearman's rho, Pearson's r, mean squared error
std::vector<Metric> metrics_of(Task const& task);

/// One entry an example; see MetricKind.
struct ExampleScores {
    MetricKind kind = MetricKind::ratio;
    std::vector<double> first, second;
};

/// What each example contributes to a metric. An example that says nothing (no resolved residue, no pair in the range)
/// contributes 0 / 0.
ExampleScores example_scores(Metric const& metric, std::span<TestExample const> examples, Run const& run);

/// The metric over all examples; NaN if undefined (no example counts, constant predictions). O(n log n).
double evaluate(ExampleScores const& scores);

/// Ranks from 1, ties sharing their average (as scipy.stats.rankdata). O(n log n).
std::vector<double> average_ranks(std::span<double const> values);
/// NaN if either side is constant. @throws error if the lengths differ.
double pearson(std::span<double const> x, std::span<double const> y);
double spearman(std::span<double const> x, std::span<double const> y);

/// Precision of the k = max(1, L / divisor) most probable pairs with separation_from <= j - i < separation_below, both
/// ends resolved; k shrinks to the number of such pairs, and a prediction that lists fewer than k has them counted as
/// misses. None if the range holds no pair.
std::optional<double> contact_precision(TestExample const& example, std::span<PairPrediction const> pairs, int divisor,
                                        int separation_from, int separation_below);

} // namespace tape
