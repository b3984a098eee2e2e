#include "data/error.hpp"
#include "learn/head_data.hpp"
#include "learn/heads.hpp"
#include "learn/linear_model.hpp"

#include <chrono>
#include <iomanip>
#include <sstream>

namespace tape {
namespace {

// Mean negative log-likelihood against lambda / 2 |W|^2, strongest first; each starts from the one before.
constexpr double penalties[] = {0.1, 0.01, 0.001, 0.0001};

} // namespace

ClassFit fit_class_head(FeatureMatrix const& train, std::span<int const> train_labels, FeatureMatrix const& valid,
                        std::span<int const> valid_labels, FeatureMatrix const& test, int classes,
                        HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    check_pooled(train, train.cols(), "training");
    check_pooled(valid, train.cols(), "validation");
    check_pooled(test, train.cols(), "test");
    check_labels(train_labels, train.rows(), classes, "training");
    check_labels(valid_labels, valid.rows(), classes, "validation");
    SoftmaxOptions softmax;
    softmax.threads = options.threads;
    // Validation accuracy settles long before the objective does (remote homology, dipeptide counts: within 20
    // iterations).
    softmax.max_iterations = options.max_epochs > 0 ? options.max_epochs : 25;
    softmax.tolerance = 1e-4;
    ClassFit fit;
    fit.head = "multinomial logistic regression on standardised pooled features";
    fit.valid_score = -1;
    int falls = 0;
    softmax_path(train, train_labels, classes, penalties, softmax, [&](SoftmaxModel const& model) {
        double const score = accuracy(predict(model, valid, options.threads), valid_labels);
        falls = score < fit.valid_score ? falls + 1 : 0;
        if (score > fit.valid_score) { // a tie stays with the larger penalty
            fit.valid_score = score;
            std::ostringstream chosen;
            chosen << "lambda=" << std::setprecision(3) << model.lambda << ", iterations=" << model.iterations;
            fit.hyperparameters = chosen.str();
            fit.probabilities = predict(model, test, options.threads);
        }
        return falls < 2;
    });
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
