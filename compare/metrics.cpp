#include "compare/metrics.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tape {

namespace {

struct Range {
    char const* name;
    char const* definition;
    int from, below;
};
constexpr int unbounded = std::numeric_limits<int>::max();
constexpr Range ranges[] = {{"medium+long", "|i-j| >= 12", 12, unbounded},
                            {"long", "|i-j| >= 24", 24, unbounded},
                            {"medium", "12 <= |i-j| < 24", 12, 24},
                            {"short", "6 <= |i-j| < 12", 6, 12}};

std::vector<Metric> residue_metrics(std::string const& name) {
    return {{.name = name,
             .definition = "share of resolved residues whose class is right, over all test proteins together",
             .count = Metric::Count::resolved_residues},
            {.name = name + ", all residues",
             .definition = "the same without the mask of resolved residues, as TAPE's own code counted",
             .count = Metric::Count::labelled_residues},
            {.name = name + ", mean over proteins",
             .definition = "share of resolved residues whose class is right, protein by protein, then averaged",
             .count = Metric::Count::protein_share}};
}

std::vector<Metric> contact_metrics() {
    std::vector<Metric> metrics;
    for (auto const& range : ranges)
        for (int const divisor : {5, 2, 1}) {
            std::string const depth = divisor == 1 ? "L" : "L/" + std::to_string(divisor);
            bool const headline = metrics.empty();
            metrics.push_back({.name = headline ? "P@" + depth : "P@" + depth + " " + range.name,
                               .definition = "precision of the " + depth + " most probable contacts with " +
                                             range.definition + ", averaged over proteins",
                               .count = Metric::Count::precision,
                               .parameter = divisor,
                               .separation_from = range.from,
                               .separation_below = range.below});
        }
    return metrics;
}

std::vector<Metric> value_metrics() {
    return {{.name = "Spearman",
             .definition = "rank correlation of prediction and measurement, average ranks on ties",
             .kind = MetricKind::spearman,
             .count = Metric::Count::value},
            {.name = "Pearson",
             .definition = "linear correlation of prediction and measurement",
             .kind = MetricKind::pearson,
             .count = Metric::Count::value},
            {.name = "MSE",
             .definition = "mean squared error, in squared units of the measurement",
             .lower_is_better = true,
             .count = Metric::Count::squared_error}};
}

bool resolved(TestExample const& example, std::size_t residue) { return example.mask.empty() || example.mask[residue]; }

struct Score {
    double first = 0, second = 0;
};

Score residue_score(TestExample const& example, Prediction const& prediction, Metric::Count count) {
    Score score;
    for (std::size_t i = 0; i < example.residue_labels.size(); ++i) {
        if (example.residue_labels[i] < 0) continue;
        if (count != Metric::Count::labelled_residues && !resolved(example, i)) continue;
        score.second += 1;
        score.first += prediction.residue_classes[i] == example.residue_labels[i];
    }
    if (count == Metric::Count::protein_share && score.second > 0) return {score.first / score.second, 1};
    return score;
}

Score score_of(Metric const& metric, TestExample const& example, Prediction const& prediction) {
    switch (metric.count) {
    case Metric::Count::resolved_residues:
    case Metric::Count::labelled_residues:
    case Metric::Count::protein_share:
        return residue_score(example, prediction, metric.count);
    case Metric::Count::precision: {
        auto const precision = contact_precision(example, prediction.pairs, metric.parameter, metric.separation_from,
                                                 metric.separation_below);
        return precision ? Score{*precision, 1} : Score{};
    }
    case Metric::Count::top_classes: {
        auto const shown = std::min(prediction.top_classes.size(), static_cast<std::size_t>(metric.parameter));
        auto const end = prediction.top_classes.begin() + static_cast<std::ptrdiff_t>(shown);
        return {std::find(prediction.top_classes.begin(), end, example.class_label) != end ? 1.0 : 0.0, 1};
    }
    case Metric::Count::squared_error:
        return {std::pow(prediction.value - example.value, 2), 1};
    case Metric::Count::value:
        break;
    }
    return {prediction.value, example.value};
}

/// Pairs of a range with both ends resolved: how many there are to choose from.
std::size_t candidate_pairs(TestExample const& example, int from, int below, std::size_t enough) {
    std::size_t count = 0;
    auto const length = static_cast<int>(example.residues.size());
    for (int separation = from; separation < length && separation < below; ++separation) {
        for (int i = 0; i + separation < length; ++i)
            count += resolved(example, static_cast<std::size_t>(i)) &&
                     resolved(example, static_cast<std::size_t>(i + separation));
        if (count >= enough) return count;
    }
    return count;
}

} // namespace

std::vector<Metric> metrics_of(Task const& task) {
    std::string const name = task.metric.empty() ? "accuracy" : task.metric;
    switch (task.kind) {
    case TaskKind::residue_class:
        return residue_metrics(name);
    case TaskKind::residue_pair:
        return contact_metrics();
    case TaskKind::protein_class:
        return {{.name = name,
                 .definition = "share of proteins whose most probable class is right",
                 .count = Metric::Count::top_classes,
                 .parameter = 1},
                {.name = "top-10 accuracy",
                 .definition = "share of proteins whose class is among the ten most probable",
                 .count = Metric::Count::top_classes,
                 .parameter = 10}};
    case TaskKind::protein_value:
        break;
    }
    return value_metrics();
}

ExampleScores example_scores(Metric const& metric, std::span<TestExample const> examples, Run const& run) {
    ExampleScores scores{metric.kind, {}, {}};
    for (std::size_t i = 0; i < examples.size(); ++i) {
        Score const score = score_of(metric, examples[i], run.predictions[i]);
        scores.first.push_back(score.first);
        scores.second.push_back(score.second);
    }
    return scores;
}

double evaluate(ExampleScores const& scores) {
    if (scores.kind == MetricKind::spearman) return spearman(scores.first, scores.second);
    if (scores.kind == MetricKind::pearson) return pearson(scores.first, scores.second);
    double const whole = std::accumulate(scores.second.begin(), scores.second.end(), 0.0);
    double const part = std::accumulate(scores.first.begin(), scores.first.end(), 0.0);
    return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> average_ranks(std::span<double const> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    std::vector<double> ranks(values.size());
    for (std::size_t begin = 0; begin < order.size();) {
        std::size_t end = begin + 1;
        while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
        for (std::size_t k = begin; k < end; ++k) ranks[order[k]] = 0.5 * static_cast<double>(begin + 1 + end);
        begin = end;
    }
    return ranks;
}

double pearson(std::span<double const> x, std::span<double const> y) {
    if (x.size() != y.size())
        throw error{"correlation of " + std::to_string(x.size()) + " with " + std::to_string(y.size()) + " values"};
    auto const constant = [](std::span<double const> values) {
        return std::all_of(values.begin(), values.end(), [&](double value) { return value == values.front(); });
    };
    if (constant(x) || constant(y)) return std::numeric_limits<double>::quiet_NaN();
    auto const n = static_cast<double>(x.size());
    double const mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
    double const mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
    double xx = 0, yy = 0, xy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    return xy / std::sqrt(xx * yy);
}

double spearman(std::span<double const> x, std::span<double const> y) {
    return pearson(average_ranks(x), average_ranks(y));
}

std::optional<double> contact_precision(TestExample const& example, std::span<PairPrediction const> pairs, int divisor,
                                        int separation_from, int separation_below) {
    auto const length = example.residues.size();
    std::size_t const wanted = std::max<std::size_t>(1, length / static_cast<std::size_t>(divisor));
    std::size_t const k = std::min(wanted, candidate_pairs(example, separation_from, separation_below, wanted));
    if (k == 0) return std::nullopt;

    std::vector<std::pair<float, std::array<int, 2>>> ranked;
    for (auto const& [i, j, probability] : pairs)
        if (j - i >= separation_from && j - i < separation_below && resolved(example, static_cast<std::size_t>(i)) &&
            resolved(example, static_cast<std::size_t>(j)))
            ranked.push_back({stored_probability(probability), {i, j}});
    // Stable: pairs that share their stored probability keep the order in which the experiment ranked them.
    std::stable_sort(ranked.begin(), ranked.end(), [](auto const& a, auto const& b) { return a.first > b.first; });

    auto contacts = example.contacts;
    std::sort(contacts.begin(), contacts.end());
    std::size_t hits = 0;
    for (std::size_t r = 0; r < std::min(k, ranked.size()); ++r)
        hits += std::binary_search(contacts.begin(), contacts.end(), ranked[r].second);
    return static_cast<double>(hits) / static_cast<double>(k);
}

} // namespace tape
