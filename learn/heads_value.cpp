#include "data/error.hpp"
#include "learn/head_data.hpp"
#include "learn/heads.hpp"
#include "learn/linear_model.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace tape {
namespace {

// Half decades; on standardised features anything beyond either end is the same model within rounding.
std::vector<double> penalty_grid(int halves) {
    std::vector<double> grid;
    for (int half = -6; half <= 12; half += halves) grid.push_back(std::pow(10.0, half / 2.0));
    return grid;
}

/// Weights of the further blocks against the first that are tried, one block after another.
constexpr std::array relative_weights{1.0 / 16, 0.25, 4.0, 16.0, 0.0};

struct Choice {
    double score = -2;
    LinearModel model;
};

/// The penalty that ranks the validation proteins best; a tie goes to the larger one.
Choice best_penalty(BlockRidge const& ridge, std::vector<double> const& weights, std::vector<double> const& penalties,
                    FeatureMatrix const& valid, std::span<double const> valid_values, int threads) {
    Choice best;
    for (auto& model : ridge.path(weights, penalties)) {
        double const score = rank_correlation(predict(model, valid, threads), valid_values);
        if (score >= best.score) best = {score, std::move(model)};
    }
    return best;
}

std::string in_words(double weight) {
    std::ostringstream text;
    text << std::setprecision(3) << weight;
    return text.str();
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
    auto const widths = source_widths(options, static_cast<int>(train.cols()));
    BlockRidge const ridge{train, widths, train_values, options.threads};
    auto const choose = [&](std::vector<double> const& weights, int halves) {
        return best_penalty(ridge, weights, penalty_grid(halves), valid, valid_values, options.threads);
    };
    std::vector<double> weights(widths.size(), 1.0);
    if (widths.size() > 1) {
        double best = choose(weights, 2).score;
        for (std::size_t k = 1; k < weights.size(); ++k) {
            double kept = weights[k];
            for (double const weight : relative_weights) {
                weights[k] = weight;
                if (double const score = choose(weights, 2).score; score > best) best = score, kept = weight;
            }
            weights[k] = kept;
        }
    }
    Choice const chosen = choose(weights, 1);
    ValueFit fit;
    fit.head = "ridge regression on standardised pooled features";
    fit.hyperparameters = "lambda=" + in_words(chosen.model.lambda);
    for (std::size_t k = 1; k < weights.size(); ++k)
        fit.hyperparameters += (k == 1 ? ", source weights 1 : " : " : ") + in_words(weights[k]);
    fit.valid_score = chosen.score;
    fit.values = predict(chosen.model, test, options.threads);
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
