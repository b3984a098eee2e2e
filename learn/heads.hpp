#pragma once

#include "features/feature_source.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

// Task heads, the same for every arm; only the input width differs. No torch types here, so that compare/ compiles
// without LibTorch's headers.
//
// Two of a kind: the published one (TAPE's convolution for residues; linear models on averages for proteins) and the
// strong one, a residual convolutional network over the rows (learn/residual_trunk.hpp). Contacts have one.
//
// Features of several sources: the ridge regression weighs the sources against each other on validation; to network
// heads every source is scaled to the same total variance, or the widest would drown the others.
namespace tape {

struct HeadOptions {
    std::uint64_t seed = 0;
    int threads = 0; ///< 0 = all
    std::string device = "cpu";
    int max_epochs = 0; ///< 0 = the head's default
    bool quiet = true;
    std::vector<int> source_widths{};      ///< columns of each source of the arm, in order; empty = one source
    std::vector<int> source_pair_widths{}; ///< pair channels of each source; empty = one source
};

/// What a fit reports beside its predictions.
struct HeadFit {
    std::string head;            ///< "conv residue head (128, kernel 5)", ...
    std::string hyperparameters; ///< chosen on validation, "lambda=3.2, epochs=7"
    double valid_score = 0;      ///< the task's headline metric on validation
    double seconds = 0;
};

/// Features and labels of one protein for the residue head. `rows` is called when the values are needed, so that a
/// split can be larger than memory.
struct ResidueExample {
    std::function<FeatureMatrix()> rows;  ///< L x D
    std::span<std::int16_t const> labels; ///< L, -1 unlabelled
    std::span<std::uint8_t const> mask;   ///< L, 1 = counts; empty = all count
};
struct ResidueFit : HeadFit {
    std::vector<FeatureMatrix> probabilities; ///< for each test protein, L x classes
};
ResidueFit fit_residue_head(std::span<ResidueExample const> train, std::span<ResidueExample const> valid,
                            std::span<ResidueExample const> test, int width, int classes, HeadOptions const& options);

/// The strong head: residual convolutions over the rows, then a linear layer.
ResidueFit fit_strong_residue_head(std::span<ResidueExample const> train, std::span<ResidueExample const> valid,
                                   std::span<ResidueExample const> test, int width, int classes,
                                   HeadOptions const& options);

struct PairExample {
    std::function<FeatureMatrix()> rows;       ///< L x D
    std::function<std::vector<float>()> pairs; ///< L x L x C, or null
    int length = 0;
    std::vector<std::int8_t> contacts; ///< L x L: 1 contact, 0 none, -1 unknown (unresolved)
};
struct PairFit : HeadFit {
    std::vector<FeatureMatrix> probabilities; ///< for each test protein, L x L, symmetric; 0 where |i - j| < 6
};
PairFit fit_pair_head(std::span<PairExample const> train, std::span<PairExample const> valid,
                      std::span<PairExample const> test, int width, int pair_width, HeadOptions const& options);

struct ClassFit : HeadFit {
    FeatureMatrix probabilities; ///< test proteins x classes
};
ClassFit fit_class_head(FeatureMatrix const& train, std::span<int const> train_labels, FeatureMatrix const& valid,
                        std::span<int const> valid_labels, FeatureMatrix const& test, int classes,
                        HeadOptions const& options);

struct ValueFit : HeadFit {
    std::vector<double> values; ///< test proteins
};
/// Ridge regression solved exactly; lambda and the sources' weights chosen on validation by Spearman's rho.
ValueFit fit_value_head(FeatureMatrix const& train, std::span<double const> train_values, FeatureMatrix const& valid,
                        std::span<double const> valid_values, FeatureMatrix const& test, HeadOptions const& options);

/// A protein for the strong heads of proteins: residual convolutions over its rows, attention over positions beside the
/// mean, then a linear layer. Proteins without residues are refused.
struct RowsExample {
    std::function<FeatureMatrix()> rows; ///< L x D
    int length = 0;
    int class_label = -1;
    double value = 0;
};
ClassFit fit_strong_class_head(std::span<RowsExample const> train, std::span<RowsExample const> valid,
                               std::span<RowsExample const> test, int width, int classes, HeadOptions const& options);
ValueFit fit_strong_value_head(std::span<RowsExample const> train, std::span<RowsExample const> valid,
                               std::span<RowsExample const> test, int width, HeadOptions const& options);

} // namespace tape
