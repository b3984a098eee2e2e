#include "compare/tsne.hpp"

#include "compare/random.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace tape {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Index = Eigen::Index;

/// Rows a task of parallel work takes at a time; sums over rows are formed per block and then in order, so that they do
/// not depend on the number of threads.
constexpr std::size_t block = 64;

std::size_t blocks_of(std::size_t n) { return (n + block - 1) / block; }

void require_finite(std::span<float const> x, std::size_t n, std::size_t d) {
    if (x.size() != n * d)
        throw error{"t-SNE of " + std::to_string(n) + " x " + std::to_string(d) + " values was given " +
                    std::to_string(x.size())};
    for (std::size_t k = 0; k < x.size(); ++k)
        if (!std::isfinite(x[k]))
            throw data_error{"t-SNE: feature " + std::to_string(k % d) + " of point " + std::to_string(k / d) +
                             " is not a finite number"};
}

Matrix centred(std::span<float const> x, std::size_t n, std::size_t d) {
    Matrix matrix = Eigen::Map<Matrix const>(x.data(), static_cast<Index>(n), static_cast<Index>(d));
    Eigen::RowVectorXd const mean = matrix.cast<double>().colwise().mean();
    matrix.rowwise() -= mean.cast<float>();
    return matrix;
}

/// Eigenvectors of the covariance, largest eigenvalue first, d x k.
Eigen::MatrixXf leading_axes_exactly(Matrix const& x, Index k) {
    Eigen::MatrixXd const wide = x.cast<double>();
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const solver{Eigen::MatrixXd(wide.transpose() * wide)};
    return solver.eigenvectors().rightCols(k).rowwise().reverse().cast<float>();
}

Eigen::MatrixXf orthonormal(Eigen::MatrixXf const& basis) {
    Eigen::HouseholderQR<Eigen::MatrixXf> const qr{basis};
    return qr.householderQ() * Eigen::MatrixXf::Identity(basis.rows(), basis.cols());
}

/// Product of row blocks, in parallel.
Eigen::MatrixXf times(Matrix const& x, Eigen::MatrixXf const& basis, int threads) {
    Eigen::MatrixXf product(x.rows(), basis.cols());
    auto const n = static_cast<std::size_t>(x.rows());
    parallel_for(blocks_of(n), threads, [&](std::size_t b, int) {
        auto const begin = static_cast<Index>(b * block);
        auto const rows = static_cast<Index>(std::min(block, n - b * block));
        product.middleRows(begin, rows).noalias() = x.middleRows(begin, rows) * basis;
    });
    return product;
}

/// Subspace iteration on x^T x; sixteen spare directions make the wanted ones converge fast.
Eigen::MatrixXf leading_axes_by_iteration(Matrix const& x, Index k, int threads) {
    Random random{20190625};
    Index const width = std::min({k + 16, x.cols(), x.rows()});
    Eigen::MatrixXf basis(x.cols(), width);
    for (Index j = 0; j < width; ++j)
        for (Index i = 0; i < x.cols(); ++i) basis(i, j) = static_cast<float>(random.uniform() - 0.5);
    Matrix const transposed = x.transpose();
    basis = orthonormal(basis);
    for (int round = 0; round < 12; ++round) basis = orthonormal(times(transposed, times(x, basis, threads), threads));
    Eigen::MatrixXd const small = times(x, basis, threads).cast<double>();
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const solver{Eigen::MatrixXd(small.transpose() * small)};
    return basis * solver.eigenvectors().rightCols(std::min(k, width)).rowwise().reverse().cast<float>();
}

/// Conditional probabilities of one row from its squared distances; the bisection is on the precision beta.
void calibrate_row(std::span<double> distances, std::size_t self, double perplexity, float* row) {
    double const target = std::log(perplexity);
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < distances.size(); ++j)
        if (j != self) nearest = std::min(nearest, distances[j]);
    double low = 0, high = std::numeric_limits<double>::infinity(), beta = 1;
    double sum = 0;
    for (int step = 0; step < 200; ++step) {
        sum = 0;
        double weighted = 0;
        for (std::size_t j = 0; j < distances.size(); ++j) {
            if (j == self) continue;
            double const excess = distances[j] - nearest, p = std::exp(-beta * excess);
            sum += p;
            weighted += excess * p;
        }
        double const excess_entropy = std::log(sum) + beta * weighted / sum - target;
        if (std::abs(excess_entropy) < 1e-9) break;
        (excess_entropy > 0 ? low : high) = beta;
        // Ties at the nearest distance can keep the entropy above the target for ever: stop where exp underflows.
        if (std::isinf(high) && beta > 1e30) break;
        beta = std::isinf(high) ? 2 * beta : 0.5 * (low + high);
    }
    for (std::size_t j = 0; j < distances.size(); ++j)
        row[j] = j == self ? 0.0F : static_cast<float>(std::exp(-beta * (distances[j] - nearest)) / sum);
}

/// Symmetric joint probabilities summing to 1.
std::vector<float> joint_probabilities(std::vector<float> const& conditional, std::size_t n) {
    std::vector<float> joint(n * n);
    auto const scale = static_cast<float>(0.5 / static_cast<double>(n));
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
            joint[i * n + j] = scale * (conditional[i * n + j] + conditional[j * n + i]);
    return joint;
}

/// What one block of rows adds up to in a step.
struct BlockForces {
    double normaliser = 0;                    ///< sum of the map's affinities q
    std::vector<float> attraction, repulsion; ///< 2 x rows
};

/// Lanes of independent sums: the loop over j vectorises although floating-point sums may not be reordered.
constexpr std::size_t lanes = 16;

/// Forces on point i: attraction sum p q (y_i - y_j), repulsion sum q^2 (y_i - y_j), normaliser sum q (j = i included
/// as q = 1).
void add_forces(std::size_t i, std::vector<float> const& px, std::vector<float> const& py, float const* p,
                std::size_t padded, BlockForces& forces, std::size_t slot) {
    float ax[lanes] = {}, ay[lanes] = {}, rx[lanes] = {}, ry[lanes] = {}, z[lanes] = {};
    float const x = px[i], y = py[i];
    for (std::size_t j = 0; j < padded; j += lanes)
        for (std::size_t l = 0; l < lanes; ++l) {
            float const dx = x - px[j + l], dy = y - py[j + l];
            float const q = 1.0F / (1.0F + dx * dx + dy * dy);
            float const pq = p[j + l] * q, qq = q * q;
            z[l] += q;
            ax[l] += pq * dx;
            ay[l] += pq * dy;
            rx[l] += qq * dx;
            ry[l] += qq * dy;
        }
    double sums[5] = {};
    for (std::size_t l = 0; l < lanes; ++l)
        sums[0] += ax[l], sums[1] += ay[l], sums[2] += rx[l], sums[3] += ry[l], sums[4] += z[l];
    forces.attraction[2 * slot] = static_cast<float>(sums[0]);
    forces.attraction[2 * slot + 1] = static_cast<float>(sums[1]);
    forces.repulsion[2 * slot] = static_cast<float>(sums[2]);
    forces.repulsion[2 * slot + 1] = static_cast<float>(sums[3]);
    forces.normaliser += sums[4] - 1; // the point itself
}

/// Gradient descent with momentum and gains, as in the authors' program.
class Descent {
  public:
    Descent(std::vector<float> const& joint, std::vector<float> const& start, std::size_t n, TsneOptions const& options)
        : n_{n}, padded_{(n + lanes - 1) / lanes * lanes}, options_{options}, x_(padded_, far_), y_(padded_, far_),
          velocity_(2 * n), gains_(2 * n, 1.0F), p_(n * padded_), forces_(blocks_of(n)) {
        for (std::size_t i = 0; i < n; ++i) {
            x_[i] = start[2 * i], y_[i] = start[2 * i + 1];
            std::copy_n(joint.begin() + static_cast<std::ptrdiff_t>(i * n), n,
                        p_.begin() + static_cast<std::ptrdiff_t>(i * padded_));
        }
        for (std::size_t b = 0; b < forces_.size(); ++b)
            forces_[b].attraction.resize(2 * block), forces_[b].repulsion.resize(2 * block);
        rate_ = static_cast<float>(std::max(50.0, static_cast<double>(n) / options.exaggeration / 4));
    }

    void run() {
        for (int step = 0; step < options_.iterations; ++step) {
            bool const early = step < options_.exaggerated_iterations;
            this->step(early ? static_cast<float>(options_.exaggeration) : 1.0F, early ? 0.5F : 0.8F);
        }
    }

    [[nodiscard]] std::vector<std::array<float, 2>> points() const {
        std::vector<std::array<float, 2>> points(n_);
        for (std::size_t i = 0; i < n_; ++i) points[i] = {x_[i], y_[i]};
        return points;
    }

    /// Sum of p log(p / q) over pairs, in double precision.
    [[nodiscard]] double kl_divergence() const {
        std::vector<double> affinities(n_ * n_);
        double normaliser = 0;
        for (std::size_t i = 0; i < n_; ++i)
            for (std::size_t j = 0; j < n_; ++j) {
                double const dx = double{x_[i]} - x_[j], dy = double{y_[i]} - y_[j];
                affinities[i * n_ + j] = i == j ? 0 : 1 / (1 + dx * dx + dy * dy);
                normaliser += affinities[i * n_ + j];
            }
        double divergence = 0;
        for (std::size_t i = 0; i < n_; ++i)
            for (std::size_t j = 0; j < n_; ++j)
                if (double const p = p_[i * padded_ + j]; p > 0)
                    divergence += p * std::log(p * normaliser / affinities[i * n_ + j]);
        return divergence;
    }

  private:
    void step(float exaggeration, float momentum) {
        // A step of few points is shorter than waking the other threads.
        int const threads = forces_.size() < 8 ? 1 : options_.threads;
        parallel_for(forces_.size(), threads, [&](std::size_t b, int) {
            forces_[b].normaliser = 0;
            for (std::size_t i = b * block; i < std::min(n_, (b + 1) * block); ++i)
                add_forces(i, x_, y_, p_.data() + i * padded_, padded_, forces_[b], i - b * block);
            // The padding's points lie so far away that their affinity is below the last bit of any sum.
        });
        double normaliser = 0;
        for (auto const& forces : forces_) normaliser += forces.normaliser;
        auto const shrink = static_cast<float>(1 / normaliser);
        for (std::size_t i = 0; i < n_; ++i)
            for (std::size_t axis = 0; axis < 2; ++axis) {
                auto const& forces = forces_[i / block];
                std::size_t const slot = 2 * (i % block) + axis, k = 2 * i + axis;
                float const gradient = 4 * (exaggeration * forces.attraction[slot] - shrink * forces.repulsion[slot]);
                bool const reversing = gradient * velocity_[k] < 0;
                gains_[k] = std::max(0.01F, reversing ? gains_[k] + 0.2F : gains_[k] * 0.8F);
                velocity_[k] = momentum * velocity_[k] - rate_ * gains_[k] * gradient;
                (axis == 0 ? x_ : y_)[i] += velocity_[k];
            }
    }

    static constexpr float far_ = 1e9F;
    std::size_t n_, padded_;
    TsneOptions options_;
    std::vector<float> x_, y_, velocity_, gains_, p_;
    std::vector<BlockForces> forces_;
    float rate_ = 0;
};

} // namespace

std::vector<float> principal_components(std::span<float const> x, std::size_t n, std::size_t d, int components,
                                        int threads) {
    require_finite(x, n, d);
    Matrix const matrix = centred(x, n, d);
    Index const k = std::min({static_cast<Index>(components), matrix.cols(), matrix.rows()});
    Eigen::MatrixXf const axes =
        d <= 256 ? leading_axes_exactly(matrix, k) : leading_axes_by_iteration(matrix, k, threads);
    Matrix scores = times(matrix, axes, threads);
    for (Index c = 0; c < scores.cols(); ++c) {
        Index largest = 0;
        scores.col(c).cwiseAbs().maxCoeff(&largest);
        if (scores(largest, c) < 0) scores.col(c) = -scores.col(c);
    }
    return {scores.data(), scores.data() + scores.size()};
}

std::vector<float> neighbourhoods(std::span<float const> x, std::size_t n, std::size_t d, double perplexity,
                                  int threads) {
    std::vector<float> conditional(n * n);
    parallel_for(n, threads, [&](std::size_t i, int) {
        std::vector<double> distances(n);
        for (std::size_t j = 0; j < n; ++j)
            for (std::size_t k = 0; k < d; ++k) {
                double const difference = double{x[i * d + k]} - x[j * d + k];
                distances[j] += difference * difference;
            }
        calibrate_row(distances, i, perplexity, conditional.data() + i * n);
    });
    return conditional;
}

TsneResult tsne(std::span<float const> x, std::size_t n, std::size_t d, TsneOptions const& options) {
    require_finite(x, n, d);
    if (n < 4) throw error{"t-SNE needs at least four points, not " + std::to_string(n)};
    std::vector<float> reduced{x.begin(), x.end()};
    std::size_t width = d;
    if (d > static_cast<std::size_t>(options.pca_dimensions)) {
        reduced = principal_components(x, n, d, options.pca_dimensions, options.threads);
        width = reduced.size() / n;
    }
    double const perplexity = std::min(options.perplexity, static_cast<double>(n - 1) / 3);
    auto const joint = joint_probabilities(neighbourhoods(reduced, n, width, perplexity, options.threads), n);

    std::vector<float> start = principal_components(reduced, n, width, 2, options.threads);
    if (start.size() < 2 * n) { // a single feature: spread along one axis
        std::vector<float> line(2 * n);
        for (std::size_t i = 0; i < n; ++i) line[2 * i] = start[i];
        start = std::move(line);
    }
    double square = 0;
    for (std::size_t i = 0; i < n; ++i) square += double{start[2 * i]} * start[2 * i];
    double const deviation = std::sqrt(square / static_cast<double>(n));
    for (float& value : start) value = static_cast<float>(deviation > 0 ? value / deviation * 1e-4 : 0);

    Descent descent{joint, start, n, options};
    descent.run();
    return {descent.points(), descent.kl_divergence(), perplexity};
}

} // namespace tape
