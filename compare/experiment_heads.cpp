#include "compare/experiment_heads.hpp"

#include "compare/experiment_contacts.hpp"
#include "features/positional.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <string_view>

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

StoredRun fit_residues(TaskData const& data, JoinedFeatures const& features, bool strong, HeadOptions const& options) {
    auto const& head = strong ? fit_strong_residue_head : fit_residue_head;
    auto const fit =
        head(residue_examples(data.train, features), residue_examples(data.valid, features),
             residue_examples(data.test, features), features.residue_width(), data.task.class_count, options);
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

std::vector<RowsExample> rows_examples(std::vector<Example> const& examples, JoinedFeatures const& features) {
    std::vector<RowsExample> result;
    for (auto const& example : examples)
        result.push_back({.rows = [&example, &features] { return features.rows(example.protein); },
                          .length = static_cast<int>(example.protein.residues.size()),
                          .value = example.value});
    return result;
}

void label(std::vector<RowsExample>& examples, std::vector<int> const& labels) {
    for (std::size_t n = 0; n < examples.size(); ++n) examples[n].class_label = labels[n];
}

ClassFit fit_class_of_rows(TaskData const& data, std::vector<Example> const& valid, std::vector<int> const& classes,
                           JoinedFeatures const& features, HeadOptions const& options) {
    auto train_rows = rows_examples(data.train, features), valid_rows = rows_examples(valid, features);
    label(train_rows, head_labels(data.train, classes));
    label(valid_rows, head_labels(valid, classes));
    return fit_strong_class_head(train_rows, valid_rows, rows_examples(data.test, features), features.residue_width(),
                                 static_cast<int>(classes.size()), options);
}

StoredRun fit_classes(TaskData const& data, JoinedFeatures const& features, bool strong, HeadOptions const& options) {
    auto const classes = trained_classes(data.train);
    auto const valid = with_trained_class(data.valid, classes);
    auto const fit = strong ? fit_class_of_rows(data, valid, classes, features, options)
                            : fit_class_head(features.pooled(data.train), head_labels(data.train, classes),
                                             features.pooled(valid), head_labels(valid, classes),
                                             features.pooled(data.test), static_cast<int>(classes.size()), options);
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

std::vector<std::string_view> sequences_of(std::vector<Example> const& examples) {
    std::vector<std::string_view> sequences;
    for (auto const& example : examples) sequences.emplace_back(example.protein.residues);
    return sequences;
}

/// Residues at their positions, then the pooled features: further sources to the ridge regression.
ValueFit fit_value_of_positions(TaskData const& data, JoinedFeatures const& features, HeadOptions options) {
    auto sequences = sequences_of(data.train);
    for (auto const* part : {&data.valid, &data.test})
        std::ranges::copy(sequences_of(*part), std::back_inserter(sequences));
    PositionalEncoding const encoding{reference_of_variants(sequences).value(), sequences_of(data.train)};
    auto const both = [&](std::vector<Example> const& examples) {
        FeatureMatrix joined(static_cast<Eigen::Index>(examples.size()), encoding.width() + features.pooled_width());
        joined << encoding(sequences_of(examples)), features.pooled(examples);
        return joined;
    };
    options.source_widths.insert(options.source_widths.begin(), encoding.width());
    auto fit = fit_value_head(both(data.train), values_of(data.train), both(data.valid), values_of(data.valid),
                              both(data.test), options);
    fit.head = "ridge regression on residues at their positions beside standardised pooled features";
    return fit;
}

ValueFit fit_value(HeadKind head, TaskData const& data, JoinedFeatures const& features, HeadOptions const& options) {
    if (head == HeadKind::value_of_positions) return fit_value_of_positions(data, features, options);
    if (head == HeadKind::value_of_rows)
        return fit_strong_value_head(rows_examples(data.train, features), rows_examples(data.valid, features),
                                     rows_examples(data.test, features), features.residue_width(), options);
    return fit_value_head(features.pooled(data.train), values_of(data.train), features.pooled(data.valid),
                          values_of(data.valid), features.pooled(data.test), options);
}

StoredRun fit_values(HeadKind head, TaskData const& data, JoinedFeatures const& features, HeadOptions const& options) {
    auto const fit = fit_value(head, data, features, options);
    StoredRun stored;
    take_fit(stored.run, fit);
    for (double const value : fit.values) stored.run.predictions.emplace_back().value = value;
    return stored;
}

} // namespace

FeatureRequest request_of(HeadKind head, JoinedFeatures const& features) {
    bool const rows = is_network(head);
    return {.rows = rows, .pooled = !rows, .pairs = head == HeadKind::pairs && features.pair_width() > 0};
}

StoredRun fit_head(TaskData const& data, JoinedFeatures const& features, ContactAtom atom, HeadOptions options,
                   bool keep_maps) {
    HeadKind const head = data.head;
    options.source_widths = is_network(head) ? features.residue_widths() : features.pooled_widths();
    options.source_pair_widths = features.pair_widths();
    switch (head) {
    case HeadKind::residues:
    case HeadKind::strong_residues:
        return fit_residues(data, features, head == HeadKind::strong_residues, options);
    case HeadKind::pairs:
        return fit_pairs(data, features, atom, options, keep_maps);
    case HeadKind::class_of_averages:
    case HeadKind::class_of_rows:
        return fit_classes(data, features, head == HeadKind::class_of_rows, options);
    case HeadKind::value_of_averages:
    case HeadKind::value_of_rows:
    case HeadKind::value_of_positions:
        break;
    }
    return fit_values(head, data, features, options);
}

} // namespace tape
