#include "data/error.hpp"
#include "learn/head_data.hpp"
#include "learn/heads.hpp"
#include "learn/linear_model.hpp"

#include <chrono>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace tape {
namespace {

// Half decades; on standardised features anything beyond either end is the same model within rounding.
std::vector<double> penalty_grid() {
    std::vector<double> grid;
    for (int half = -6; half <= 12; ++half) grid.push_back(std::pow(10.0, half / 2.0));
    return grid;
}

void check_values(std::span<double const> values, Eigen::Index proteins, std::string const& split) {
    if (static_cast<Eigen::Index>(values.size()) != proteins)
        throw data_error{split + " split has " + std::to_string(proteins) + " feature rows but " +
                         std::to_string(values.size()) + " values"};
    for (std::size_t n = 0; n < values.size(); ++n)
        if (!std::isfinite(values[n]))
            throw data_error{split + " protein " + std::to_string(n) + " has the value " + std::to_string(values[n]) +
                             "; labels must be finite"};
}

} // namespace

ValueFit fit_value_head(FeatureMatrix const& train, std::span<double const> train_values, FeatureMatrix const& valid,
                        std::span<double const> valid_values, FeatureMatrix const& test, HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    check_pooled(train, train.cols(), "training");
    check_pooled(valid, train.cols(), "validation");
    check_pooled(test, train.cols(), "test");
    check_values(train_values, train.rows(), "training");
    check_values(valid_values, valid.rows(), "validation");
    auto const models = ridge_path(train, train_values, penalty_grid(), options.threads);
    std::size_t best = 0;
    double best_score = -2;
    for (std::size_t k = 0; k < models.size(); ++k) {
        double const score = rank_correlation(predict(models[k], valid, options.threads), valid_values);
        if (score >= best_score) best = k, best_score = score; // a tie goes to the larger penalty
    }
    ValueFit fit;
    fit.head = "ridge regression on standardised pooled features";
    std::ostringstream chosen;
    chosen << "lambda=" << std::setprecision(3) << models[best].lambda;
    fit.hyperparameters = chosen.str();
    fit.valid_score = best_score;
    fit.values = predict(models[best], test, options.threads);
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
