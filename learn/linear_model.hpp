#pragma once

#include "features/feature_source.hpp"

#include <functional>
#include <span>
#include <vector>

// Linear models solved to the optimum: the heads for whole proteins. No torch types here.
namespace tape {

/// Mean and reciprocal population standard deviation of every column, in double.
struct ColumnScaling {
    std::vector<double> mean;  ///< D
    std::vector<double> scale; ///< D: 1 / standard deviation; 0 for a column that is constant up to single precision,
                               ///< which makes it neutral
};

/// @param x  N x D, N >= 1
/// The same bits for any number of threads. O(N D).
ColumnScaling column_scaling(FeatureMatrix const& x, int threads);

/// y = intercept + x . weights, on the raw (unstandardised) features.
struct LinearModel {
    std::vector<double> weights; ///< D
    double intercept = 0;
    double lambda = 0;
};

/// Ridge regression (Hoerl & Kennard, Technometrics 12:55, 1970) on standardised columns, for a whole grid of
/// penalties: minimises |y - b - Z w|^2 + lambda |w|^2 with Z the standardised x and the intercept b unpenalised
/// (scikit-learn's `Ridge(alpha=lambda)` after `StandardScaler`). Normal equations, or for N < D their dual, in double;
/// one Cholesky factorisation a lambda.
///
/// @param x        N x D, finite
/// @param y        N
/// @param lambdas  each > 0
/// @return         a model for each lambda, in order; the same bits for any number of threads
/// @throws data_error if N is 0 or the sizes of x and y differ
/// O(N D min(N, D) + lambdas min(N, D)^3) time, O(min(N, D)^2) memory beside x for each lambda in work.
std::vector<LinearModel> ridge_path(FeatureMatrix const& x, std::span<double const> y, std::span<double const> lambdas,
                                    int threads);

/// N predictions.
std::vector<double> predict(LinearModel const& model, FeatureMatrix const& x, int threads);

/// Multinomial logistic regression on standardised columns.
struct SoftmaxModel {
    ColumnScaling scaling;        ///< D
    FeatureMatrix weights;        ///< D x classes, on standardised columns
    std::vector<float> intercept; ///< classes; -infinity for a class that training never showed
    double lambda = 0;
    double objective = 0; ///< at the solution
    int iterations = 0;
};

struct SoftmaxOptions {
    int threads = 0;
    int max_iterations = 200; ///< for each lambda
    double tolerance = 1e-7;  ///< stop when an iteration lowers the objective by less than this share of it
};

/// Minimises mean_i -log softmax(b + Z W)_{i, label_i} + lambda / 2 |W|^2 (scikit-learn's `LogisticRegression(C=1/(N
/// lambda))` after `StandardScaler`; the intercept is not penalised) by L-BFGS (Liu & Nocedal, Math Program 45:503,
/// 1989) over the full batch; in single precision where N D classes is large (> 2^28), else in double. Each lambda
/// starts from the solution of the one before: give them in falling order. Rotating to principal axes with a diagonal
/// preconditioner was tried and needs more iterations in all on such a path.
///
/// @param x       N x D, finite
/// @param labels  N, in [0, classes)
/// @param visit   called with the model of each lambda; returns false to end the path
/// @throws data_error on a label out of range or differing sizes
/// O(iterations N D classes) time, O(N D + N classes + 20 D classes) memory.
void softmax_path(FeatureMatrix const& x, std::span<int const> labels, int classes, std::span<double const> lambdas,
                  SoftmaxOptions const& options, std::function<bool(SoftmaxModel const&)> const& visit);

/// N x classes, rows summing to 1.
FeatureMatrix predict(SoftmaxModel const& model, FeatureMatrix const& x, int threads);

/// Spearman's rho with average ranks, for the choice of a penalty inside a head only: results are scored by compare/.
/// 0 if either side is constant or shorter than 2.
double rank_correlation(std::span<double const> a, std::span<double const> b);

} // namespace tape
