#include "compare/calibration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

namespace tape {

namespace {

constexpr std::size_t bin_count = 10;

/// Answers of one bin.
struct Sums {
    double answers = 0, probability = 0, right = 0;

    void add(double p, bool hit) { answers += 1, probability += p, right += hit; }
    void add(Sums const& other, double times) {
        answers += times * other.answers;
        probability += times * other.probability;
        right += times * other.right;
    }
};
using Bins = std::array<Sums, bin_count>;

std::size_t bin_of(double probability) {
    return std::min(static_cast<std::size_t>(probability * bin_count), bin_count - 1);
}

bool resolved(TestExample const& example, std::size_t residue) { return example.mask.empty() || example.mask[residue]; }

/// Answers of one protein; none if the prediction holds no probabilities.
Bins answers_of(TestExample const& example, Prediction const& prediction, TaskKind kind) {
    Bins bins{};
    auto const add = [&](double p, bool hit) { bins[bin_of(p)].add(p, hit); };
    if (kind == TaskKind::residue_class)
        for (std::size_t i = 0; i < prediction.confidence.size(); ++i)
            if (example.residue_labels[i] >= 0 && resolved(example, i))
                add(prediction.confidence[i], prediction.residue_classes[i] == example.residue_labels[i]);
    if (kind == TaskKind::protein_class && !prediction.confidence.empty())
        add(prediction.confidence.front(), prediction.top_classes.front() == example.class_label);
    if (kind == TaskKind::residue_pair) {
        std::set<std::array<int, 2>> const truth{example.contacts.begin(), example.contacts.end()};
        for (auto const& [i, j, probability] : prediction.pairs)
            if (resolved(example, static_cast<std::size_t>(i)) && resolved(example, static_cast<std::size_t>(j)))
                add(stored_probability(probability), truth.contains({i, j}));
    }
    return bins;
}

Sums total(Bins const& bins) {
    Sums sum;
    for (auto const& bin : bins) sum.add(bin, 1);
    return sum;
}

double expected_error(Bins const& bins) {
    double const answers = total(bins).answers;
    if (answers == 0) return std::numeric_limits<double>::quiet_NaN();
    double error = 0;
    for (auto const& bin : bins) error += std::abs(bin.right - bin.probability);
    return error / answers;
}

double excess(Bins const& bins) {
    auto const sum = total(bins);
    return (sum.probability - sum.right) / sum.answers; // NaN without answers
}

Bins weighted(std::vector<Bins> const& proteins, std::span<std::uint16_t const> weights) {
    Bins sum{};
    for (std::size_t i = 0; i < proteins.size(); ++i)
        if (weights[i] > 0)
            for (std::size_t b = 0; b < bin_count; ++b) sum[b].add(proteins[i][b], weights[i]);
    return sum;
}

} // namespace

std::optional<Calibration> calibration_of(TaskResult const& task, std::string const& arm,
                                          ResamplingOptions const& options) {
    if (task.task.kind == TaskKind::protein_value) return std::nullopt;
    std::vector<std::vector<Bins>> runs; // [seed][protein]
    for (auto const& run : task.runs) {
        if (run.arm != arm) continue;
        auto& proteins = runs.emplace_back();
        for (std::size_t i = 0; i < task.examples.size(); ++i)
            proteins.push_back(answers_of(task.examples[i], run.predictions[i], task.task.kind));
    }
    std::vector<std::uint16_t> const once(task.examples.size(), 1);
    Bins pooled{};
    double error = 0, over = 0;
    for (auto const& run : runs) {
        Bins const bins = weighted(run, once);
        for (std::size_t b = 0; b < bin_count; ++b) pooled[b].add(bins[b], 1);
        error += expected_error(bins), over += excess(bins);
    }
    if (total(pooled).answers == 0) return std::nullopt;

    auto const seeds = static_cast<double>(runs.size());
    Calibration result{.arm = arm, .bins = {}, .error = {}, .excess = {}};
    for (std::size_t b = 0; b < bin_count; ++b)
        result.bins.push_back({.low = static_cast<double>(b) / bin_count,
                               .high = static_cast<double>(b + 1) / bin_count,
                               .answers = pooled[b].answers / seeds,
                               .confidence = pooled[b].probability / pooled[b].answers,
                               .accuracy = pooled[b].right / pooled[b].answers});
    auto const interval = [&](double value, double (*measure)(Bins const&)) {
        auto replicates = bootstrap_mean(
            task.examples.size(), runs.size(),
            [&](std::size_t seed, std::span<std::uint16_t const> weights) {
                return measure(weighted(runs[seed], weights));
            },
            options);
        return percentile_interval(value, std::move(replicates), options.level);
    };
    result.error = interval(error / seeds, expected_error);
    result.excess = interval(over / seeds, excess);
    return result;
}

} // namespace tape
