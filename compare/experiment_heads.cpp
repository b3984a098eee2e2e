#include "compare/experiment_heads.hpp"

#include "compare/experiment_contacts.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>

namespace tape {

namespace {

std::vector<ResidueExample> residue_examples(std::vector<Example> const& examples, JoinedFeatures const& features) {
    std::vector<ResidueExample> result;
    for (auto const& example : examples)
        result.push_back({.rows = [&example, &features] { return features.rows(example.protein); },
                          .labels = example.residue_labels,
                          .mask = example.valid_mask});
    return result;
}

std::vector<PairExample> pair_examples(std::vector<Example> const& examples, JoinedFeatures const& features,
                                       ContactAtom atom) {
    std::vector<PairExample> result;
    for (auto const& example : examples) {
        PairExample pair{.rows = [&example, &features] { return features.rows(example.protein); },
                         .pairs = nullptr,
                         .length = static_cast<int>(example.protein.residues.size()),
                         .contacts = contact_labels(example, atom)};
        if (features.pair_width() > 0) pair.pairs = [&example, &features] { return features.pairs(example.protein); };
        result.push_back(std::move(pair));
    }
    return result;
}

void take_fit(Run& run, HeadFit const& fit) {
    run.head = fit.head;
    run.hyperparameters = fit.hyperparameters;
    run.valid_score = fit.valid_score;
}

StoredRun fit_residues(TaskData const& data, JoinedFeatures const& features, HeadOptions const& options) {
    auto const fit = fit_residue_head(residue_examples(data.train, features), residue_examples(data.valid, features),
                                      residue_examples(data.test, features), features.residue_width(),
                                      data.task.class_count, options);
    StoredRun stored;
    take_fit(stored.run, fit);
    for (auto const& probabilities : fit.probabilities) {
        Prediction prediction;
        for (Eigen::Index i = 0; i < probabilities.rows(); ++i) {
            Eigen::Index best = 0;
            float const probability = probabilities.row(i).maxCoeff(&best);
            prediction.residue_classes.push_back(static_cast<std::int16_t>(best));
            prediction.confidence.push_back(stored_confidence(probability));
        }
        stored.run.predictions.push_back(std::move(prediction));
    }
    return stored;
}

StoredRun fit_pairs(TaskData const& data, JoinedFeatures const& features, ContactAtom atom, HeadOptions const& options,
                    bool keep_maps) {
    auto fit = fit_pair_head(pair_examples(data.train, features, atom), pair_examples(data.valid, features, atom),
                             pair_examples(data.test, features, atom), features.residue_width(), features.pair_width(),
                             options);
    StoredRun stored;
    take_fit(stored.run, fit);
    for (auto const& probabilities : fit.probabilities)
        stored.run.predictions.emplace_back().pairs = top_pairs(probabilities);
    if (keep_maps) stored.maps = std::move(fit.probabilities);
    return stored;
}

/// Labels that occur in training, ascending: the classes of the head. Classes without a training protein cannot be
/// learnt.
std::vector<int> trained_classes(std::vector<Example> const& train) {
    std::set<int> classes;
    for (auto const& example : train) classes.insert(example.class_label);
    return {classes.begin(), classes.end()};
}

std::vector<Example> with_trained_class(std::vector<Example> const& examples, std::vector<int> const& classes) {
    std::vector<Example> kept;
    std::ranges::copy_if(examples, std::back_inserter(kept), [&](Example const& example) {
        return std::ranges::binary_search(classes, example.class_label);
    });
    return kept;
}

std::vector<int> head_labels(std::vector<Example> const& examples, std::vector<int> const& classes) {
    std::vector<int> labels;
    for (auto const& example : examples)
        labels.push_back(static_cast<int>(std::ranges::lower_bound(classes, example.class_label) - classes.begin()));
    return labels;
}

StoredRun fit_classes(TaskData const& data, JoinedFeatures const& features, HeadOptions const& options) {
    auto const classes = trained_classes(data.train);
    auto const valid = with_trained_class(data.valid, classes);
    auto const fit = fit_class_head(features.pooled(data.train), head_labels(data.train, classes),
                                    features.pooled(valid), head_labels(valid, classes), features.pooled(data.test),
                                    static_cast<int>(classes.size()), options);
    StoredRun stored;
    take_fit(stored.run, fit);
    for (Eigen::Index row = 0; row < fit.probabilities.rows(); ++row) {
        std::vector<int> order(classes.size());
        std::iota(order.begin(), order.end(), 0);
        auto const top = order.begin() + std::min<std::ptrdiff_t>(10, std::ssize(order));
        std::partial_sort(order.begin(), top, order.end(), [&](int a, int b) {
            float const pa = fit.probabilities(row, a), pb = fit.probabilities(row, b);
            return pa != pb ? pa > pb : a < b;
        });
        Prediction prediction;
        for (auto next = order.begin(); next != top; ++next) prediction.top_classes.push_back(classes[*next]);
        prediction.confidence = {stored_confidence(fit.probabilities(row, order.front()))};
        stored.run.predictions.push_back(std::move(prediction));
    }
    return stored;
}

std::vector<double> values_of(std::vector<Example> const& examples) {
    std::vector<double> values;
    for (auto const& example : examples) values.push_back(example.value);
    return values;
}

StoredRun fit_values(TaskData const& data, JoinedFeatures const& features, HeadOptions const& options) {
    auto const fit = fit_value_head(features.pooled(data.train), values_of(data.train), features.pooled(data.valid),
                                    values_of(data.valid), features.pooled(data.test), options);
    StoredRun stored;
    take_fit(stored.run, fit);
    for (double const value : fit.values) stored.run.predictions.emplace_back().value = value;
    return stored;
}

} // namespace

FeatureRequest request_of(TaskKind kind, JoinedFeatures const& features) {
    bool const residues = kind == TaskKind::residue_class || kind == TaskKind::residue_pair;
    return {
        .rows = residues, .pooled = !residues, .pairs = kind == TaskKind::residue_pair && features.pair_width() > 0};
}

StoredRun fit_head(TaskData const& data, JoinedFeatures const& features, ContactAtom atom, HeadOptions const& options,
                   bool keep_maps) {
    switch (data.task.kind) {
    case TaskKind::residue_class:
        return fit_residues(data, features, options);
    case TaskKind::residue_pair:
        return fit_pairs(data, features, atom, options, keep_maps);
    case TaskKind::protein_class:
        return fit_classes(data, features, options);
    case TaskKind::protein_value:
        break;
    }
    return fit_values(data, features, options);
}

} // namespace tape
