#include "features/coevolution.hpp"

#include "align/substitution.hpp"
#include "data/error.hpp"
#include "features/coupling_kernel.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace tape {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>; // column-major
constexpr int states = amino_acid_count + 1;                         // the last one: gap or unknown
constexpr Eigen::Index block = amino_acid_count;

int state_of(Residue code) { return code < amino_acid_count ? code : amino_acid_count; }

void check_weights(Msa const& msa, std::span<float const> weights) {
    if (weights.size() != msa.depth())
        throw error{"coevolution: " + std::to_string(weights.size()) + " weights for " + std::to_string(msa.depth()) +
                    " rows"};
}

/// Rows that fit the budget at `states_per_column` states; see CouplingOptions.
std::size_t affordable_rows(Msa const& msa, int states_per_column, double budget) {
    double const n = static_cast<double>(msa.length()) * states_per_column;
    if (n * n * n <= budget) return msa.depth();
    return std::clamp<std::size_t>(static_cast<std::size_t>(budget / (n * n)), 1, msa.depth());
}

/// Weighted state frequencies, L x states, column-major by position: entry (a, i).
Matrix state_frequencies(Msa const& msa, std::span<float const> weights, std::size_t rows) {
    Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(states, static_cast<Eigen::Index>(msa.length()));
    double total = 0;
    for (std::size_t r = 0; r < rows; ++r) {
        total += weights[r];
        for (std::size_t c = 0; c < msa.length(); ++c)
            sums(state_of(msa.rows[r].columns[c]), static_cast<Eigen::Index>(c)) += weights[r];
    }
    return (sums / std::max(total, 1e-30)).cast<float>();
}

/// The covariance to invert, as D + V V^T with one s x s block on the diagonal of D, the same for all columns.
struct Covariance {
    Eigen::MatrixXd block_root_inverse; ///< D^-1/2, s x s
    Matrix scaled;                      ///< D^-1/2 V, (s L) x rank
};

/// (s L) x columns of D^-1/2 (x_r - mean) scale_r, computed per state and column since x_r is one-hot.
Matrix centred_rows(Msa const& msa, Matrix const& mean, Eigen::MatrixXd const& root_inverse,
                    std::span<float const> scales) {
    Eigen::Index const s = root_inverse.rows(), length = static_cast<Eigen::Index>(msa.length());
    Eigen::MatrixXf const root = root_inverse.cast<float>();
    Matrix const shift = root * mean.topRows(s); // s x L
    Matrix result(s * length, static_cast<Eigen::Index>(scales.size()));
    for (std::size_t r = 0; r < scales.size(); ++r)
        for (Eigen::Index c = 0; c < length; ++c) {
            auto target = result.block(s * c, static_cast<Eigen::Index>(r), s, 1);
            int const state = state_of(msa.rows[r].columns[static_cast<std::size_t>(c)]);
            target = -shift.col(c);
            if (state < s) target += root.col(state);
            target *= scales[r];
        }
    return result;
}

/// Frobenius norms of the blocks of G C^-1 G^T, where G (20 x s) picks the gauge and the amino acids.
std::vector<float> block_norms(Covariance const& covariance, Eigen::MatrixXd const& gauge, std::size_t length) {
    Matrix const transform = (gauge * covariance.block_root_inverse).cast<float>();
    std::vector<float> norms(length * length);
    coupling_kernel()({.scaled = covariance.scaled.data(),
                       .transform = transform.data(),
                       .norms = norms.data(),
                       .length = static_cast<std::ptrdiff_t>(length),
                       .states = transform.cols(),
                       .rank = covariance.scaled.cols()});
    return norms;
}

/// D^-1/2 of the mean-field model's D = p (I / q - 1 1^T / q^2), 20 x 20: eigenvalue p / q^2 along 1, else p / q.
Eigen::MatrixXd uniform_root_inverse(double p, double q) {
    return std::sqrt(q / p) *
           (Eigen::MatrixXd::Identity(block, block) +
            Eigen::MatrixXd::Constant(block, block, (std::sqrt(q) - 1) / static_cast<double>(block)));
}

} // namespace

std::vector<float> average_product_correction(std::span<float const> map, std::size_t length) {
    std::vector<double> sums(length, 0.0);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            if (i != j) sums[i] += map[i * length + j];
    double const total = std::accumulate(sums.begin(), sums.end(), 0.0);
    std::vector<float> corrected(length * length, 0.f);
    if (length < 2) return corrected;
    // mean_i = sum_i / (L - 1), mean = total / (L (L - 1)).
    double const scale = total == 0 ? 0.0 : static_cast<double>(length) / (static_cast<double>(length - 1) * total);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            if (i != j) corrected[i * length + j] = static_cast<float>(map[i * length + j] - sums[i] * sums[j] * scale);
    return corrected;
}

std::vector<float> standardised(std::span<float const> map, std::size_t length, std::size_t separation) {
    double sum = 0, squares = 0, count = 0;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + separation; j < length; ++j) {
            double const value = map[i * length + j];
            sum += value, squares += value * value, ++count;
        }
    std::vector<float> result(length * length, 0.f);
    if (count < 2) return result;
    double const mean = sum / count, variance = squares / count - mean * mean;
    // Rounding alone makes a constant map vary by about 1e-7 of its size.
    if (variance <= 1e-12 * (squares / count) || variance <= 1e-20) return result;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j)
            if (i != j) result[i * length + j] = static_cast<float>((map[i * length + j] - mean) / std::sqrt(variance));
    return result;
}

std::vector<float> mutual_information(Msa const& msa, std::span<float const> weights) {
    check_weights(msa, weights);
    std::size_t const length = msa.length(), depth = msa.depth();
    // Columns as contiguous states, so that the counting below runs along memory.
    std::vector<std::uint16_t> columns(length * depth);
    for (std::size_t r = 0; r < depth; ++r)
        for (std::size_t c = 0; c < length; ++c)
            columns[c * depth + r] = static_cast<std::uint16_t>(state_of(msa.rows[r].columns[c]));
    double const total = std::max(1e-30, std::accumulate(weights.begin(), weights.end(), 0.0));
    auto const entropy = [total](std::span<float const> sums) {
        double sum = 0;
        for (float const v : sums)
            if (v > 0) sum += v * std::log(v);
        return std::log(total) - sum / total;
    };
    std::vector<double> column_entropy(length);
    for (std::size_t c = 0; c < length; ++c) {
        std::array<float, states> sums{};
        for (std::size_t r = 0; r < depth; ++r) sums[columns[c * depth + r]] += weights[r];
        column_entropy[c] = entropy(sums);
    }
    std::vector<float> map(length * length, 0.f);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j) {
            std::array<float, states * states> sums{};
            std::uint16_t const *a = &columns[i * depth], *b = &columns[j * depth];
            for (std::size_t r = 0; r < depth; ++r) sums[a[r] * states + b[r]] += weights[r];
            double const information = column_entropy[i] + column_entropy[j] - entropy(sums);
            map[i * length + j] = map[j * length + i] = static_cast<float>(std::max(0.0, information));
        }
    return map;
}

std::vector<float> mean_field_couplings(Msa const& msa, std::span<float const> weights,
                                        CouplingOptions const& options) {
    check_weights(msa, weights);
    if (msa.length() == 0) return {};
    constexpr double pseudocount = 0.5, q = states;
    std::size_t const rows = affordable_rows(msa, amino_acid_count, options.budget);
    Matrix const mean = state_frequencies(msa, weights, rows);
    double const total = std::accumulate(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(rows), 0.0);
    // With pseudocount p the model is the mixture of the data (1 - p) and of independent uniform columns (p); its
    // covariance is (1 - p) Cov(data) + p Cov(uniform) + p (1 - p) d d^T, d the difference of the means. Cov(uniform)
    // is D / p.
    Covariance covariance{.block_root_inverse = uniform_root_inverse(pseudocount, q), .scaled = {}};
    std::vector<float> scales(rows);
    for (std::size_t r = 0; r < rows; ++r)
        scales[r] = static_cast<float>(std::sqrt((1 - pseudocount) * weights[r] / total));
    covariance.scaled = centred_rows(msa, mean, covariance.block_root_inverse, scales);
    covariance.scaled.conservativeResize(Eigen::NoChange, covariance.scaled.cols() + 1);
    Eigen::MatrixXf const root = covariance.block_root_inverse.cast<float>();
    for (Eigen::Index c = 0; c < mean.cols(); ++c)
        covariance.scaled.block(block * c, covariance.scaled.cols() - 1, block, 1) =
            root * ((mean.col(c).head(block).array() - static_cast<float>(1 / q)) *
                    static_cast<float>(std::sqrt(pseudocount * (1 - pseudocount))))
                       .matrix();
    Eigen::MatrixXd const gauge =
        Eigen::MatrixXd::Identity(block, block) - Eigen::MatrixXd::Constant(block, block, 1 / q);
    return block_norms(covariance, gauge, msa.length());
}

std::vector<float> shrunk_inverse_covariance(Msa const& msa, std::span<float const> weights,
                                             CouplingOptions const& options) {
    check_weights(msa, weights);
    if (msa.length() == 0) return {};
    std::size_t const rows = affordable_rows(msa, states, options.budget);
    double const total = std::accumulate(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(rows), 0.0);
    // As published: the effective number of points is sum w - sqrt(mean w), which is 0 for a single row of weight 1.
    double const points = total - std::sqrt(total / static_cast<double>(rows));
    if (points <= 0) return std::vector<float>(msa.length() * msa.length(), 0.f);
    double const ridge = 4.5 / std::sqrt(total);
    Covariance covariance{.block_root_inverse = Eigen::MatrixXd::Identity(states, states) / std::sqrt(ridge),
                          .scaled = {}};
    std::vector<float> scales(rows);
    for (std::size_t r = 0; r < rows; ++r) scales[r] = static_cast<float>(std::sqrt(weights[r] / points));
    // The published mean, too, divides by that number.
    Matrix const mean = state_frequencies(msa, weights, rows) * static_cast<float>(total / points);
    covariance.scaled = centred_rows(msa, mean, covariance.block_root_inverse, scales);
    return block_norms(covariance, Eigen::MatrixXd::Identity(block, states), msa.length());
}

} // namespace tape
