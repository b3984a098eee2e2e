#pragma once

#include "features/feature_source.hpp"

#include <functional>
#include <memory>
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

/// Ridge regression (Hoerl & Kennard, Technometrics 12:55, 1970) on standardised columns that come in blocks, such as
/// the sources of an arm, each with a weight of its own: minimises |y - b - sum_k w_k Z_k u_k|^2 + lambda sum_k |u_k|^2
/// with Z_k the standardised columns of block k and the intercept b unpenalised. A block's penalty is thus
/// lambda / w_k^2, and weight 0 leaves it out. With every weight 1 this is scikit-learn's `Ridge(alpha=lambda)` after
/// `StandardScaler`. Normal equations, or for N < D their dual, in double; their products are formed once, for every
/// choice of weights and penalties.
class BlockRidge {
  public:
    /// @param x       N x D, finite; referred to, not copied
    /// @param widths  columns of each block, in order; their sum is D
    /// @param y       N
    /// @throws data_error if N is 0 or the sizes of x and y differ
    /// O(N D min(N, D)) time, O(min(N, D)^2) memory beside x, in the dual for each block.
    BlockRidge(FeatureMatrix const& x, std::span<int const> widths, std::span<double const> y, int threads);
    ~BlockRidge();
    BlockRidge(BlockRidge const&) = delete;
    BlockRidge& operator=(BlockRidge const&) = delete;

    /// @param weights  one a block, >= 0
    /// @param lambdas  each > 0
    /// @return         a model for each lambda, in order; the same bits for any number of threads
    /// O(lambdas min(N, D)^3) time, O(min(N, D)^2) memory for each lambda in work.
    [[nodiscard]] std::vector<LinearModel> path(std::span<double const> weights, std::span<double const> lambdas) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The same for a single block.
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
