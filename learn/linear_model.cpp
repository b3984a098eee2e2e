#include "learn/linear_model.hpp"

#include "data/error.hpp"
#include "data/parallel.hpp"
#include "learn/torch_threads.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>

namespace tape {
namespace {

constexpr Eigen::Index tile_size = 384;   // columns (or rows, in the dual) of one Gram tile
constexpr Eigen::Index block_size = 4096; // rows (columns, in the dual) summed at a time
constexpr Eigen::Index predict_block = 1024;

std::size_t tile_count(Eigen::Index size, Eigen::Index tile) {
    return static_cast<std::size_t>((size + tile - 1) / tile);
}

void check_sizes(FeatureMatrix const& x, std::size_t labels) {
    if (x.rows() == 0) throw data_error{"a linear model needs at least one training protein, got none"};
    if (static_cast<std::size_t>(x.rows()) != labels)
        throw data_error{"a linear model got " + std::to_string(x.rows()) + " feature rows but " +
                         std::to_string(labels) + " labels"};
}

/// Columns of a range that are not neutral.
std::vector<Eigen::Index> active_columns(ColumnScaling const& scaling, std::size_t begin, std::size_t end) {
    std::vector<Eigen::Index> columns;
    for (std::size_t d = begin; d < end; ++d)
        if (scaling.scale[d] > 0) columns.push_back(static_cast<Eigen::Index>(d));
    return columns;
}

/// Standardised features of some columns, handed out in double as (summed x kept) panels of Z (primal) or of its
/// transpose (dual).
class StandardisedView {
  public:
    StandardisedView(FeatureMatrix const& x, ColumnScaling const& scaling, std::vector<Eigen::Index> columns, bool dual)
        : x_{x}, scaling_{scaling}, columns_{std::move(columns)}, dual_{dual} {}
    [[nodiscard]] Eigen::Index width() const { return static_cast<Eigen::Index>(columns_.size()); }
    [[nodiscard]] Eigen::Index order() const { return dual_ ? x_.rows() : width(); }
    [[nodiscard]] Eigen::Index summed() const { return dual_ ? width() : x_.rows(); }

    /// kept.size x summed.size, so that a Gram tile is a product of one panel with another's transpose.
    [[nodiscard]] at::Tensor panel(Eigen::Index kept, Eigen::Index kept_size, Eigen::Index sum,
                                   Eigen::Index sum_size) const {
        at::Tensor panel = at::empty({kept_size, sum_size}, at::kDouble);
        double* out = panel.data_ptr<double>();
        if (dual_) {
            for (Eigen::Index r = 0; r < kept_size; ++r)
                for (Eigen::Index c = 0; c < sum_size; ++c) out[r * sum_size + c] = value(kept + r, sum + c);
        } else {
            for (Eigen::Index r = 0; r < sum_size; ++r)
                for (Eigen::Index c = 0; c < kept_size; ++c) out[c * sum_size + r] = value(sum + r, kept + c);
        }
        return panel;
    }

  private:
    [[nodiscard]] double value(Eigen::Index row, Eigen::Index kept_column) const {
        auto const d = columns_[static_cast<std::size_t>(kept_column)];
        return (x_(row, d) - scaling_.mean[static_cast<std::size_t>(d)]) * scaling_.scale[static_cast<std::size_t>(d)];
    }

    FeatureMatrix const& x_;
    ColumnScaling const& scaling_;
    std::vector<Eigen::Index> columns_;
    bool dual_ = false;
};

/// Z^T Z (or Z Z^T in the dual). Every tile is summed by one thread in a fixed order, so the bits do not depend on
/// their number.
at::Tensor gram_matrix(StandardisedView const& z, int threads) {
    Eigen::Index const order = z.order();
    at::Tensor gram = at::empty({order, order}, at::kDouble);
    std::vector<std::pair<Eigen::Index, Eigen::Index>> tiles;
    for (Eigen::Index a = 0; a < order; a += tile_size)
        for (Eigen::Index b = a; b < order; b += tile_size) tiles.emplace_back(a, b);
    parallel_for(tiles.size(), threads, [&](std::size_t index, int) {
        at::set_num_threads(1);
        auto const [a, b] = tiles[index];
        Eigen::Index const rows = std::min(tile_size, order - a), columns = std::min(tile_size, order - b);
        at::Tensor tile = at::zeros({rows, columns}, at::kDouble);
        for (Eigen::Index sum = 0; sum < z.summed(); sum += block_size) {
            Eigen::Index const size = std::min(block_size, z.summed() - sum);
            at::Tensor const left = z.panel(a, rows, sum, size);
            tile.addmm_(left, (a == b ? left : z.panel(b, columns, sum, size)).t());
        }
        gram.narrow(0, a, rows).narrow(1, b, columns).copy_(tile);
        if (a != b) gram.narrow(0, b, columns).narrow(1, a, rows).copy_(tile.t());
    });
    return gram;
}

/// v -> Z^T v (length width) in the order-independent way of gram_matrix.
at::Tensor transposed_product(FeatureMatrix const& x, ColumnScaling const& scaling,
                              std::vector<Eigen::Index> const& columns, double const* v, int threads) {
    at::Tensor product = at::zeros({static_cast<Eigen::Index>(columns.size())}, at::kDouble);
    double* out = product.data_ptr<double>();
    parallel_for(tile_count(static_cast<Eigen::Index>(columns.size()), 64), threads, [&](std::size_t tile, int) {
        std::size_t const begin = tile * 64, end = std::min(columns.size(), begin + 64);
        for (Eigen::Index row = 0; row < x.rows(); ++row)
            for (std::size_t c = begin; c < end; ++c) {
                auto const d = columns[c];
                auto const s = static_cast<std::size_t>(d);
                out[c] += (x(row, d) - scaling.mean[s]) * scaling.scale[s] * v[row];
            }
    });
    return product;
}

LinearModel raw_model(std::vector<Eigen::Index> const& columns, ColumnScaling const& scaling, double const* weights,
                      double mean_y, double lambda) {
    LinearModel model{std::vector<double>(scaling.mean.size(), 0.0), mean_y, lambda};
    for (std::size_t c = 0; c < columns.size(); ++c) {
        auto const d = static_cast<std::size_t>(columns[c]);
        model.weights[d] = weights[c] * scaling.scale[d];
        model.intercept -= model.weights[d] * scaling.mean[d];
    }
    return model;
}

/// Solutions of (G + lambda I) s = right side, one a lambda; factorised side by side, each by one thread.
std::vector<at::Tensor> solve_penalised(at::Tensor const& gram, at::Tensor const& right,
                                        std::span<double const> lambdas, int threads) {
    std::vector<at::Tensor> solutions(lambdas.size());
    double const gigabytes =
        std::max(1e-9, static_cast<double>(gram.numel()) * 16 / (1 << 30)); // the copy and its factor
    int const workers = std::clamp(static_cast<int>(8 / gigabytes), 1, threads);
    parallel_for(lambdas.size(), workers, [&](std::size_t index, int) {
        at::set_num_threads(1);
        at::Tensor shifted = gram.clone();
        shifted.diagonal().add_(lambdas[index]);
        auto const [factor, info] = at::linalg_cholesky_ex(shifted);
        if (info.item<int>() != 0)
            throw error{"ridge regression: the normal equations are singular with lambda = " +
                        std::to_string(lambdas[index]) + "; use a larger penalty"};
        solutions[index] = at::cholesky_solve(right.unsqueeze(1), factor).squeeze(1).contiguous();
    });
    return solutions;
}

} // namespace

ColumnScaling column_scaling(FeatureMatrix const& x, int threads) {
    auto const columns = static_cast<std::size_t>(x.cols());
    ColumnScaling scaling{std::vector<double>(columns, 0.0), std::vector<double>(columns, 0.0)};
    auto const rows = static_cast<double>(x.rows());
    parallel_for(tile_count(x.cols(), 64), resolve_threads(threads), [&](std::size_t tile, int) {
        Eigen::Index const begin = static_cast<Eigen::Index>(tile) * 64,
                           size = std::min<Eigen::Index>(64, x.cols() - begin);
        Eigen::ArrayXd mean = Eigen::ArrayXd::Zero(size), square = Eigen::ArrayXd::Zero(size);
        for (Eigen::Index r = 0; r < x.rows(); ++r)
            mean += x.row(r).segment(begin, size).transpose().array().cast<double>();
        mean /= rows;
        for (Eigen::Index r = 0; r < x.rows(); ++r)
            square += (x.row(r).segment(begin, size).transpose().array().cast<double>() - mean).square();
        for (Eigen::Index c = 0; c < size; ++c) {
            double const deviation = std::sqrt(square[c] / rows);
            // Rounding of a constant to single precision leaves a spread of up to 2^-24 of its size.
            bool const constant = !(deviation > 1e-7 * std::abs(mean[c])) || deviation < 1e-30;
            scaling.mean[static_cast<std::size_t>(begin + c)] = mean[c];
            scaling.scale[static_cast<std::size_t>(begin + c)] = constant ? 0.0 : 1.0 / deviation;
        }
    });
    return scaling;
}

struct BlockRidge::State {
    FeatureMatrix const& x;
    int threads;
    ColumnScaling scaling;
    std::vector<Eigen::Index> columns; ///< active ones of all blocks
    std::vector<std::size_t> block_of; ///< of each of them
    std::size_t blocks;
    bool dual;
    double mean_y;
    std::vector<at::Tensor> grams; ///< Z^T Z of all columns, or in the dual Z_k Z_k^T of each block
    at::Tensor right;              ///< Z^T (y - mean), or in the dual y - mean

    [[nodiscard]] at::Tensor project(at::Tensor const& v) const {
        return transposed_product(x, scaling, columns, v.data_ptr<double>(), threads);
    }
    /// The weight of each active column.
    [[nodiscard]] at::Tensor column_weights(std::span<double const> weights) const {
        at::Tensor result = at::empty({static_cast<std::int64_t>(columns.size())}, at::kDouble);
        for (std::size_t c = 0; c < columns.size(); ++c) result.data_ptr<double>()[c] = weights[block_of[c]];
        return result;
    }
    [[nodiscard]] at::Tensor weighted_gram(std::span<double const> weights, at::Tensor const& of_columns) const {
        if (!dual) return grams.front() * of_columns.unsqueeze(0) * of_columns.unsqueeze(1);
        at::Tensor sum = grams.front() * (weights.front() * weights.front());
        for (std::size_t k = 1; k < grams.size(); ++k) sum.add_(grams[k], weights[k] * weights[k]);
        return sum;
    }
};

BlockRidge::BlockRidge(FeatureMatrix const& x, std::span<int const> widths, std::span<double const> y, int threads) {
    check_sizes(x, y.size());
    if (std::accumulate(widths.begin(), widths.end(), Eigen::Index{0}) != x.cols())
        throw data_error{"a linear model got " + std::to_string(x.cols()) +
                         " feature columns that are not the sum of its blocks"};
    threads = resolve_threads(threads);
    TorchThreads const scope{1};
    at::NoGradGuard const no_gradient;
    state_ = std::make_unique<State>(
        State{.x = x,
              .threads = threads,
              .scaling = column_scaling(x, threads),
              .columns = {},
              .block_of = {},
              .blocks = widths.size(),
              .dual = false,
              .mean_y = std::accumulate(y.begin(), y.end(), 0.0) / static_cast<double>(y.size()),
              .grams = {},
              .right = {}});
    auto& state = *state_;
    std::vector<std::vector<Eigen::Index>> columns_of_block;
    std::size_t begin = 0;
    for (std::size_t k = 0; k < widths.size(); begin += static_cast<std::size_t>(widths[k]), ++k) {
        auto active = active_columns(state.scaling, begin, begin + static_cast<std::size_t>(widths[k]));
        state.columns.insert(state.columns.end(), active.begin(), active.end());
        state.block_of.insert(state.block_of.end(), active.size(), k);
        columns_of_block.push_back(std::move(active));
    }
    if (state.columns.empty()) return;
    state.dual = x.rows() < static_cast<Eigen::Index>(state.columns.size());
    at::Tensor centred = at::empty({x.rows()}, at::kDouble);
    std::transform(y.begin(), y.end(), centred.data_ptr<double>(), [&](double value) { return value - state.mean_y; });
    if (state.dual) {
        for (auto& columns : columns_of_block)
            state.grams.push_back(gram_matrix({x, state.scaling, std::move(columns), true}, threads));
        state.right = centred;
    } else {
        state.grams.push_back(gram_matrix({x, state.scaling, state.columns, false}, threads));
        state.right = state.project(centred);
    }
}

BlockRidge::~BlockRidge() = default;

std::vector<LinearModel> BlockRidge::path(std::span<double const> weights, std::span<double const> lambdas) const {
    auto const& state = *state_;
    if (weights.size() != state.blocks) throw error{"ridge regression: one weight a block is needed"};
    std::vector<LinearModel> models;
    if (state.columns.empty()) {
        for (double lambda : lambdas)
            models.push_back(raw_model(state.columns, state.scaling, nullptr, state.mean_y, lambda));
        return models;
    }
    TorchThreads const scope{1};
    at::NoGradGuard const no_gradient;
    at::Tensor const of_columns = state.column_weights(weights);
    auto const solutions = solve_penalised(state.weighted_gram(weights, of_columns),
                                           state.dual ? state.right : state.right * of_columns, lambdas, state.threads);
    for (std::size_t index = 0; index < lambdas.size(); ++index) {
        at::Tensor const found = state.dual ? state.project(solutions[index]) * of_columns : solutions[index];
        at::Tensor const coefficients = found * of_columns; // of the unweighted standardised columns
        models.push_back(
            raw_model(state.columns, state.scaling, coefficients.data_ptr<double>(), state.mean_y, lambdas[index]));
    }
    return models;
}

std::vector<LinearModel> ridge_path(FeatureMatrix const& x, std::span<double const> y, std::span<double const> lambdas,
                                    int threads) {
    std::array<int, 1> const width{static_cast<int>(x.cols())};
    std::array<double, 1> const weight{1};
    return BlockRidge{x, width, y, threads}.path(weight, lambdas);
}

std::vector<double> predict(LinearModel const& model, FeatureMatrix const& x, int threads) {
    std::vector<double> values(static_cast<std::size_t>(x.rows()));
    Eigen::Map<Eigen::VectorXd const> const weights{model.weights.data(),
                                                    static_cast<Eigen::Index>(model.weights.size())};
    parallel_for(tile_count(x.rows(), predict_block), resolve_threads(threads), [&](std::size_t block, int) {
        Eigen::Index const begin = static_cast<Eigen::Index>(block) * predict_block;
        for (Eigen::Index r = begin; r < std::min(x.rows(), begin + predict_block); ++r)
            values[static_cast<std::size_t>(r)] = model.intercept + x.row(r).cast<double>().dot(weights);
    });
    return values;
}

namespace {

/// N x D on standardised columns, in the type asked for.
at::Tensor standardised(FeatureMatrix const& x, ColumnScaling const& scaling, at::ScalarType type) {
    auto const width = static_cast<Eigen::Index>(scaling.mean.size());
    at::Tensor const mean = at::empty({width}, at::kDouble), scale = at::empty({width}, at::kDouble);
    std::copy(scaling.mean.begin(), scaling.mean.end(), mean.data_ptr<double>());
    std::copy(scaling.scale.begin(), scaling.scale.end(), scale.data_ptr<double>());
    at::Tensor out = at::empty({x.rows(), width}, type);
    for (Eigen::Index begin = 0; begin < x.rows(); begin += predict_block) {
        Eigen::Index const size = std::min(predict_block, x.rows() - begin);
        at::Tensor const rows = at::from_blob(const_cast<float*>(x.data()) + begin * width, {size, width}, at::kFloat);
        out.narrow(0, begin, size).copy_((rows.to(at::kDouble) - mean) * scale);
    }
    return out;
}

/// The penalised negative log-likelihood and its gradient at theta = [W; b], (D + 1) x classes.
class SoftmaxObjective {
  public:
    SoftmaxObjective(at::Tensor features, at::Tensor labels)
        : features_{std::move(features)}, labels_{labels.unsqueeze(1)} {}
    double lambda = 0;

    struct Value {
        double objective;
        at::Tensor gradient;
    };
    [[nodiscard]] Value operator()(at::Tensor const& theta) const {
        auto const width = features_.size(1);
        auto const rows = static_cast<double>(features_.size(0));
        at::Tensor const weights = theta.narrow(0, 0, width);
        // N x classes: logits, log-probabilities, probabilities, residuals
        at::Tensor scores = at::log_softmax(at::addmm(theta[width], features_, weights), 1);
        double const loss = -scores.gather(1, labels_).sum(at::kDouble).item<double>() / rows;
        scores.exp_();
        scores.scatter_add_(1, labels_, at::full_like(labels_, -1, scores.options()));
        scores.div_(rows);
        at::Tensor gradient = at::empty_like(theta);
        gradient.narrow(0, 0, width).copy_(weights).mul_(lambda).addmm_(features_.t(), scores);
        gradient[width].copy_(scores.sum(0));
        return {loss + lambda / 2 * weights.square().sum(at::kDouble).item<double>(), gradient};
    }

  private:
    at::Tensor features_, labels_;
};

double inner_product(at::Tensor const& a, at::Tensor const& b) {
    return at::dot(a.flatten(), b.flatten()).item<double>();
}

/// The last steps and gradient changes of L-BFGS, and the two-loop product with the inverse Hessian they imply.
class CurvatureMemory {
  public:
    void add(at::Tensor const& step, at::Tensor const& change) {
        double const curvature = inner_product(step, change);
        if (curvature <= 1e-12 * inner_product(change, change))
            return; // not convex within rounding: would spoil the direction
        pairs_.push_back({step, change, curvature});
        if (pairs_.size() > 10) pairs_.pop_front();
    }
    [[nodiscard]] at::Tensor direction(at::Tensor const& gradient) const {
        at::Tensor q = gradient.neg();
        std::vector<double> share(pairs_.size());
        for (std::size_t k = pairs_.size(); k-- > 0;) {
            share[k] = inner_product(pairs_[k].step, q) / pairs_[k].curvature;
            q.sub_(pairs_[k].change, share[k]);
        }
        q.mul_(pairs_.empty() ? 1.0 / std::max(1e-30, std::sqrt(inner_product(gradient, gradient)))
                              : pairs_.back().curvature / inner_product(pairs_.back().change, pairs_.back().change));
        for (std::size_t k = 0; k < pairs_.size(); ++k)
            q.add_(pairs_[k].step, share[k] - inner_product(pairs_[k].change, q) / pairs_[k].curvature);
        return q;
    }

  private:
    struct Pair {
        at::Tensor step, change;
        double curvature;
    };
    std::deque<Pair> pairs_;
};

/// Minimises from theta in place; returns the objective and the number of iterations.
std::pair<double, int> minimise(SoftmaxObjective const& objective, at::Tensor& theta, SoftmaxOptions const& options) {
    auto current = objective(theta);
    CurvatureMemory memory;
    int small_steps = 0, iteration = 0;
    while (iteration < options.max_iterations && small_steps < 3) {
        ++iteration;
        at::Tensor const direction = memory.direction(current.gradient);
        double const slope = inner_product(direction, current.gradient);
        if (!(slope < 0)) break; // at the optimum within rounding
        double length = 1;
        at::Tensor trial = theta + direction;
        auto next = objective(trial);
        while (!(next.objective <= current.objective + 1e-4 * length * slope) && length > 1e-8) {
            length /= 2;
            trial = at::add(theta, direction, length);
            next = objective(trial);
        }
        if (!(next.objective < current.objective)) break;
        small_steps = current.objective - next.objective < options.tolerance * current.objective ? small_steps + 1 : 0;
        memory.add(trial - theta, next.gradient - current.gradient);
        theta = trial;
        current = std::move(next);
    }
    return {current.objective, iteration};
}

/// Classes that training shows, and each label's index among them.
struct PresentClasses {
    std::vector<int> classes;
    at::Tensor labels, log_share;
};

PresentClasses present_classes(std::span<int const> labels, int classes) {
    std::vector<double> count(static_cast<std::size_t>(std::max(0, classes)), 0.0);
    for (std::size_t n = 0; n < labels.size(); ++n) {
        if (labels[n] < 0 || labels[n] >= classes)
            throw data_error{"class label " + std::to_string(labels[n]) + " of training protein " + std::to_string(n) +
                             " is outside 0.." + std::to_string(classes - 1)};
        count[static_cast<std::size_t>(labels[n])] += 1;
    }
    PresentClasses present;
    std::vector<std::int64_t> position(count.size(), -1);
    std::vector<double> log_share;
    for (std::size_t c = 0; c < count.size(); ++c) {
        if (count[c] == 0) continue;
        position[c] = static_cast<std::int64_t>(present.classes.size());
        present.classes.push_back(static_cast<int>(c));
        log_share.push_back(std::log(count[c] / static_cast<double>(labels.size())));
    }
    present.labels = at::empty({static_cast<std::int64_t>(labels.size())}, at::kLong);
    for (std::size_t n = 0; n < labels.size(); ++n)
        present.labels.data_ptr<std::int64_t>()[n] = position[static_cast<std::size_t>(labels[n])];
    present.log_share = at::tensor(log_share, at::kDouble);
    return present;
}

SoftmaxModel softmax_model(at::Tensor const& theta, ColumnScaling const& scaling, PresentClasses const& present,
                           int classes) {
    auto const width = static_cast<Eigen::Index>(scaling.mean.size());
    SoftmaxModel model{scaling,
                       FeatureMatrix::Zero(width, classes),
                       std::vector<float>(static_cast<std::size_t>(classes), -std::numeric_limits<float>::infinity()),
                       0,
                       0,
                       0};
    at::Tensor const values = theta.to(at::kFloat).contiguous(); // (D + 1) x present classes
    Eigen::Map<FeatureMatrix const> const table{values.data_ptr<float>(), width + 1,
                                                static_cast<Eigen::Index>(present.classes.size())};
    for (std::size_t c = 0; c < present.classes.size(); ++c) {
        model.weights.col(present.classes[c]) = table.col(static_cast<Eigen::Index>(c)).head(width);
        model.intercept[static_cast<std::size_t>(present.classes[c])] = table(width, static_cast<Eigen::Index>(c));
    }
    return model;
}

} // namespace

void softmax_path(FeatureMatrix const& x, std::span<int const> labels, int classes, std::span<double const> lambdas,
                  SoftmaxOptions const& options, std::function<bool(SoftmaxModel const&)> const& visit) {
    check_sizes(x, labels.size());
    PresentClasses const present = present_classes(labels, classes);
    int const threads = resolve_threads(options.threads);
    TorchThreads const scope{threads};
    at::NoGradGuard const no_gradient;
    ColumnScaling const scaling = column_scaling(x, threads);
    auto const shown = static_cast<std::int64_t>(present.classes.size());
    double const work = static_cast<double>(x.rows()) * static_cast<double>(x.cols()) * static_cast<double>(shown);
    at::ScalarType const type = work > double{1 << 28} ? at::kFloat : at::kDouble;
    SoftmaxObjective objective{standardised(x, scaling, type), present.labels};
    at::Tensor theta = at::zeros({x.cols() + 1, shown}, type);
    theta[x.cols()].copy_(present.log_share);
    for (double lambda : lambdas) {
        objective.lambda = lambda;
        auto const [value, iterations] = minimise(objective, theta, options);
        SoftmaxModel model = softmax_model(theta, scaling, present, classes);
        model.lambda = lambda, model.objective = value, model.iterations = iterations;
        if (!visit(model)) return;
    }
}

FeatureMatrix predict(SoftmaxModel const& model, FeatureMatrix const& x, int threads) {
    TorchThreads const scope{resolve_threads(threads)};
    at::NoGradGuard const no_gradient;
    auto const classes = static_cast<std::int64_t>(model.intercept.size());
    FeatureMatrix probabilities(x.rows(), classes);
    at::Tensor const weights =
        at::from_blob(const_cast<float*>(model.weights.data()), {model.weights.rows(), classes}, at::kFloat);
    at::Tensor const intercept = at::from_blob(const_cast<float*>(model.intercept.data()), {classes}, at::kFloat);
    at::Tensor out = at::from_blob(probabilities.data(), {x.rows(), classes}, at::kFloat);
    out.copy_(at::softmax(at::addmm(intercept, standardised(x, model.scaling, at::kFloat), weights), 1));
    return probabilities;
}

double rank_correlation(std::span<double const> a, std::span<double const> b) {
    auto const ranks = [](std::span<double const> values) {
        std::vector<std::size_t> order(values.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(), [&](std::size_t l, std::size_t r) { return values[l] < values[r]; });
        Eigen::ArrayXd rank(static_cast<Eigen::Index>(values.size()));
        for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
            for (end = begin + 1; end < order.size() && values[order[end]] == values[order[begin]];) ++end;
            for (std::size_t k = begin; k < end; ++k)
                rank[static_cast<Eigen::Index>(order[k])] = static_cast<double>(begin + end - 1) / 2;
        }
        return rank;
    };
    if (a.size() != b.size() || a.size() < 2) return 0;
    Eigen::ArrayXd x = ranks(a), y = ranks(b);
    x -= x.mean(), y -= y.mean();
    double const spread = std::sqrt(x.square().sum() * y.square().sum());
    return spread > 0 ? (x * y).sum() / spread : 0;
}

} // namespace tape
