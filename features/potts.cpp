#include "features/potts.hpp"

#include "data/error.hpp"
#include "data/parallel.hpp"
#include "features/potts_kernel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>

namespace tape {
namespace {

constexpr std::size_t states = potts_states, stride = potts_stride, slot = states * stride;

std::uint8_t state_of(Residue code) { return code < amino_acid_count ? code : amino_acid_count; }

/// The alignment in the kernels' layout, with weighted state frequencies.
struct Data {
    std::size_t depth, length;
    std::vector<std::uint16_t> offsets;
    std::vector<std::uint8_t> columns; ///< L x N states
    std::vector<float> weights;
    std::vector<float> frequencies; ///< L x 21
    double total;                   ///< of the weights

    [[nodiscard]] PottsRows rows() const {
        return {offsets.data(), weights.data(), static_cast<std::ptrdiff_t>(depth),
                static_cast<std::ptrdiff_t>(length)};
    }
    [[nodiscard]] std::uint8_t const* column(std::size_t i) const { return &columns[i * depth]; }
};

Data arrange(Msa const& msa, std::span<float const> weights) {
    std::size_t const depth = msa.depth(), length = msa.length(), tiles = (length + potts_tile - 1) / potts_tile;
    Data data{.depth = depth,
              .length = length,
              .offsets = std::vector<std::uint16_t>(tiles * depth * potts_tile),
              .columns = std::vector<std::uint8_t>(length * depth),
              .weights{weights.begin(), weights.end()},
              .frequencies = std::vector<float>(length * states),
              .total = std::accumulate(weights.begin(), weights.end(), 0.0)};
    for (std::size_t c = 0; c < length; ++c) {
        std::array<double, states> sums{};
        std::size_t const tile = c / potts_tile, place = c % potts_tile;
        for (std::size_t n = 0; n < depth; ++n) {
            std::uint8_t const state = state_of(msa.rows[n].columns[c]);
            data.columns[c * depth + n] = state;
            data.offsets[(tile * depth + n) * potts_tile + place] =
                static_cast<std::uint16_t>((place * states + state) * stride);
            sums[state] += static_cast<double>(weights[n]);
        }
        for (std::size_t a = 0; a < states; ++a)
            data.frequencies[c * states + a] = static_cast<float>(sums[a] / data.total);
    }
    return data;
}

double dot(std::vector<float> const& a, std::vector<float> const& b) {
    double sum = 0;
    for (std::size_t block = 0; block < a.size(); block += stride) { // sizes are multiples of the stride
        std::array<float, stride> products;
        for (std::size_t k = 0; k < stride; ++k) products[k] = a[block + k] * b[block + k];
        sum += static_cast<double>(std::accumulate(products.begin(), products.end(), 0.f));
    }
    return sum;
}

/// The regression of one column on all others. Parameters are L x 21 x 24, entry (j, b, a) for this column's state a
/// and state b of column j; the column's own slot holds its fields in the first row.
class Regression {
  public:
    Regression(Data const& data, PottsKernels const& kernels, PottsOptions const& options)
        : data_{data}, kernels_{kernels}, options_{options}, coupling_penalty_{options.coupling_penalty *
                                                                               static_cast<double>(data.length - 1)},
          field_(data.depth * stride), direction_field_(data.depth * stride), residual_(data.depth * stride),
          gradient_(data.length * slot), previous_(data.length * slot), direction_(data.length * slot),
          scaled_(data.length * slot) {}

    /// @return iterations, or the limit plus 1 if the tolerance was not reached
    int fit(std::size_t column) {
        column_ = column;
        parameters.assign(data_.length * slot, 0.f);
        set_centre();
        std::copy(centre_.begin(), centre_.end(), own(parameters));
        fields_of(parameters, field_);
        kernels_.residuals(data_.rows(), data_.column(column_), field_.data(), field_.data(), 0.f, residual_.data());
        std::ranges::fill(direction_, 0.f);
        double previous_norm = 0;
        for (int iteration = 0; iteration <= options_.iterations; ++iteration) {
            compute_gradient();
            if (converged()) return iteration;
            precondition();
            double const norm = dot(gradient_, scaled_);
            // Polak and Ribiere's formula, restarted where it would turn back.
            double const beta = iteration == 0 ? 0 : std::max(0.0, (norm - dot(previous_, scaled_)) / previous_norm);
            turn(beta);
            previous_norm = norm, previous_ = gradient_;
            fields_of(direction_, direction_field_);
            float const step = line_search();
            for (std::size_t k = 0; k < parameters.size(); ++k) parameters[k] += step * direction_[k];
            for (std::size_t k = 0; k < field_.size(); ++k) field_[k] += step * direction_field_[k];
        }
        return options_.iterations + 1;
    }

    std::vector<float> parameters;

    /// The column's own slot.
    [[nodiscard]] float* own(std::vector<float>& values) const { return &values[column_ * slot]; }

  private:
    /// Logarithms of the column's frequencies with a pseudocount of 1 a state, mean 0.
    void set_centre() {
        double mean = 0;
        for (std::size_t a = 0; a < states; ++a) {
            double const count = data_.total * static_cast<double>(data_.frequencies[column_ * states + a]);
            centre_[a] = static_cast<float>(std::log((count + 1) / (data_.total + static_cast<double>(states))));
            mean += static_cast<double>(centre_[a]) / static_cast<double>(states);
        }
        for (std::size_t a = 0; a < states; ++a) centre_[a] -= static_cast<float>(mean);
    }

    /// Fields of all rows. While the kernel runs, every state of the column itself stands for its fields.
    void fields_of(std::vector<float>& values, std::vector<float>& field) {
        for (std::size_t b = 1; b < states; ++b) std::copy_n(own(values), stride, own(values) + b * stride);
        kernels_.fields(data_.rows(), values.data(), field.data());
        std::fill(own(values) + stride, own(values) + slot, 0.f);
    }

    void compute_gradient() {
        for (std::size_t k = 0; k < gradient_.size(); ++k)
            gradient_[k] = static_cast<float>(coupling_penalty_) * parameters[k];
        std::fill_n(own(gradient_), slot, 0.f);
        kernels_.gradient(data_.rows(), residual_.data(), gradient_.data());
        for (std::size_t b = 1; b < states; ++b)
            for (std::size_t a = 0; a < states; ++a) own(gradient_)[a] += own(gradient_)[b * stride + a];
        std::fill(own(gradient_) + stride, own(gradient_) + slot, 0.f);
        for (std::size_t a = 0; a < states; ++a)
            own(gradient_)[a] += static_cast<float>(2 * options_.field_penalty) * (own(parameters)[a] - centre_[a]);
    }

    /// The gradient times an approximate inverse of the Hessian: its diagonal if columns were independent, after the
    /// states' indicators are centred, which frees the couplings from the fields. The change of variables is
    /// fields' = fields + sum_jb f_j(b) couplings(j, b), so it is applied on both sides.
    void precondition() {
        std::array<float, stride> variance{}, shift{};
        for (std::size_t a = 0; a < states; ++a) {
            float const frequency = data_.frequencies[column_ * states + a];
            variance[a] = static_cast<float>(data_.total) * frequency * (1 - frequency);
        }
        float const* const fields = own(gradient_);
        for (std::size_t j = 0; j < data_.length; ++j)
            for (std::size_t b = 0; b < states && j != column_; ++b) {
                float const share = data_.frequencies[j * states + b];
                float const* from = &gradient_[j * slot + b * stride];
                float* to = &scaled_[j * slot + b * stride];
                for (std::size_t a = 0; a < stride; ++a) {
                    to[a] = (from[a] - share * fields[a]) /
                            (share * (1 - share) * variance[a] + static_cast<float>(coupling_penalty_));
                    shift[a] += share * to[a];
                }
            }
        std::fill_n(own(scaled_), slot, 0.f);
        for (std::size_t a = 0; a < states; ++a)
            own(scaled_)[a] = fields[a] / (variance[a] + static_cast<float>(2 * options_.field_penalty)) - shift[a];
    }

    void turn(double beta) {
        for (std::size_t k = 0; k < direction_.size(); ++k)
            direction_[k] = static_cast<float>(beta) * direction_[k] - scaled_[k];
        if (dot(direction_, gradient_) < 0) return;
        for (std::size_t k = 0; k < direction_.size(); ++k) direction_[k] = -scaled_[k];
    }

    /// Newton's method on the slope along the direction, kept between the points known to lie on either side of the
    /// minimum. Leaves the residuals of the point found.
    float line_search() {
        double const along = dot(direction_, parameters), squared = dot(direction_, direction_);
        double own_along = 0, own_squared = 0, own_offset = 0;
        for (std::size_t a = 0; a < states; ++a) {
            double const d = static_cast<double>(own(direction_)[a]), v = static_cast<double>(own(parameters)[a]);
            own_along += d * v, own_squared += d * d, own_offset += d * (v - static_cast<double>(centre_[a]));
        }
        double const penalty_slope = coupling_penalty_ * (along - own_along) + 2 * options_.field_penalty * own_offset;
        double const penalty_curvature =
            coupling_penalty_ * (squared - own_squared) + 2 * options_.field_penalty * own_squared;
        double step = 0, low = 0, high = -1, first_slope = 0;
        for (int trial = 0; trial < 12; ++trial) {
            PottsSlope const data =
                kernels_.residuals(data_.rows(), data_.column(column_), field_.data(), direction_field_.data(),
                                   static_cast<float>(step), residual_.data());
            double const slope = data.slope + penalty_slope + step * penalty_curvature;
            if (trial == 0)
                first_slope = std::abs(slope);
            else if (std::abs(slope) <= 0.1 * first_slope)
                break;
            (slope < 0 ? low : high) = step;
            step -= slope / (data.curvature + penalty_curvature);
            if (step <= low || (high > 0 && step >= high)) step = high > 0 ? (low + high) / 2 : 2 * low;
        }
        return static_cast<float>(step);
    }

    /// |x - x*| <= |gradient| / (least curvature), which the penalty bounds from below. Below 1e-6 of the weights the
    /// gradient is rounding, as where there is nothing to couple with.
    bool converged() {
        double const own_norm = std::inner_product(own(parameters), own(parameters) + states, own(parameters), 0.0);
        double const couplings = std::sqrt(std::max(0.0, dot(parameters, parameters) - own_norm));
        double const curvature = std::min(coupling_penalty_, 2 * options_.field_penalty);
        return std::sqrt(dot(gradient_, gradient_)) <=
               std::max(options_.tolerance * curvature * couplings, 1e-6 * data_.total);
    }

    Data const& data_;
    PottsKernels kernels_;
    PottsOptions const& options_;
    double coupling_penalty_;
    std::size_t column_ = 0;
    std::array<float, states> centre_{};
    std::vector<float> field_, direction_field_, residual_;       // N x 24
    std::vector<float> gradient_, previous_, direction_, scaled_; // L x 21 x 24
};

/// Moves the part of the couplings that depends on the column's own state alone into its fields, and the part that
/// depends on the other's state alone out of the model (it does not change the column's distribution).
void to_zero_sum(float* couplings, float* fields) {
    std::array<float, states> over_b{}, over_a{};
    float all = 0;
    for (std::size_t b = 0; b < states; ++b)
        for (std::size_t a = 0; a < states; ++a) {
            float const share = couplings[b * stride + a] / static_cast<float>(states);
            over_b[a] += share, over_a[b] += share, all += share / static_cast<float>(states);
        }
    for (std::size_t a = 0; a < states; ++a) fields[a] += over_b[a] - all;
    for (std::size_t b = 0; b < states; ++b)
        for (std::size_t a = 0; a < states; ++a) couplings[b * stride + a] += all - over_b[a] - over_a[b];
}

std::size_t bytes_needed(std::size_t depth, std::size_t length, int threads) {
    std::size_t const model = length * (length - 1) / 2 * states * states * sizeof(float);
    std::size_t const worker = (5 * length * slot + 3 * depth * stride) * sizeof(float);
    return model + static_cast<std::size_t>(threads) * worker + depth * (length + potts_tile) * 3;
}

std::string gigabytes(std::size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
    return text;
}

void check(Msa const& msa, std::span<float const> weights, PottsOptions const& options, int threads) {
    if (weights.size() != msa.depth())
        throw error{"potts: " + std::to_string(weights.size()) + " weights for " + std::to_string(msa.depth()) +
                    " rows"};
    for (std::size_t n = 0; n < weights.size(); ++n)
        if (!(weights[n] > 0) || !std::isfinite(weights[n]))
            throw error{"potts: weight " + std::to_string(n + 1) + " is " + std::to_string(weights[n]) +
                        ", expected a positive number"};
    std::size_t const needed = bytes_needed(msa.depth(), msa.length(), threads);
    if (needed > options.memory)
        throw data_error{"potts: a model of " + std::to_string(msa.length()) + " columns from " +
                         std::to_string(msa.depth()) + " rows takes " + gigabytes(needed) + ", the limit is " +
                         gigabytes(options.memory) +
                         "; use mean-field couplings, fewer threads, or cut the alignment to a domain"};
}

} // namespace

PottsModel::PottsModel(std::size_t length)
    : length_{length}, fields_(length * states),
      couplings_(length < 2 ? 0 : length * (length - 1) / 2 * states * states) {}

std::size_t PottsModel::block_begin(std::size_t i, std::size_t j) const {
    return (i * (2 * length_ - i - 1) / 2 + (j - i - 1)) * states * states;
}

std::span<float> PottsModel::block(std::size_t i, std::size_t j) {
    return std::span{couplings_}.subspan(block_begin(i, j), states * states);
}

std::span<float const> PottsModel::block(std::size_t i, std::size_t j) const {
    return std::span{couplings_}.subspan(block_begin(i, j), states * states);
}

float PottsModel::coupling(std::size_t i, int a, std::size_t j, int b) const {
    if (i > j) std::swap(i, j), std::swap(a, b);
    return block(i, j)[static_cast<std::size_t>(a) * states + static_cast<std::size_t>(b)];
}

double PottsModel::log_weight(std::span<Residue const> sequence) const {
    if (sequence.size() != length_)
        throw error{"potts: a sequence of " + std::to_string(sequence.size()) + " residues for a model of " +
                    std::to_string(length_) + " columns"};
    double sum = 0;
    for (std::size_t i = 0; i < length_; ++i) {
        sum += static_cast<double>(field(i, state_of(sequence[i])));
        for (std::size_t j = i + 1; j < length_; ++j)
            sum += static_cast<double>(block(i, j)[state_of(sequence[i]) * states + state_of(sequence[j])]);
    }
    return sum;
}

double PottsModel::exchange(std::span<Residue const> sequence, std::size_t i, Residue to) const {
    int const before = state_of(sequence[i]), after = state_of(to);
    double sum = static_cast<double>(field(i, after)) - static_cast<double>(field(i, before));
    for (std::size_t j = 0; j < length_; ++j) {
        if (j == i) continue;
        int const other = state_of(sequence[j]);
        sum += static_cast<double>(coupling(i, after, j, other)) - static_cast<double>(coupling(i, before, j, other));
    }
    return sum;
}

PottsModel fit_potts(Msa const& msa, std::span<float const> weights, PottsOptions const& options) {
    std::size_t const length = msa.length();
    if (length == 0) return PottsModel{0};
    int const threads = std::min(resolve_threads(options.threads), static_cast<int>(length));
    check(msa, weights, options, threads);
    Data const data = arrange(msa, weights);
    PottsModel model{length};
    std::vector<Regression> regressions;
    for (int worker = 0; worker < threads; ++worker) regressions.emplace_back(data, potts_kernels(), options);
    std::vector<int> iterations(length);
    std::array<std::mutex, 64> locks;
    parallel_for(length, threads, [&](std::size_t i, int worker) {
        Regression& regression = regressions[static_cast<std::size_t>(worker)];
        iterations[i] = regression.fit(i);
        float* const fields = regression.own(regression.parameters);
        for (std::size_t j = 0; j < length; ++j) {
            if (i == j) continue;
            float* const couplings = &regression.parameters[j * slot];
            to_zero_sum(couplings, fields);
            auto const block = model.block(std::min(i, j), std::max(i, j));
            // A sum of two terms and zero does not depend on the order in which the two columns come.
            std::lock_guard const lock{locks[(i + j) % locks.size()]};
            for (std::size_t a = 0; a < states; ++a)
                for (std::size_t b = 0; b < states; ++b)
                    block[i < j ? a * states + b : b * states + a] += 0.5f * couplings[b * stride + a];
        }
        float const mean = std::accumulate(fields, fields + states, 0.f) / static_cast<float>(states);
        for (std::size_t a = 0; a < states; ++a) model.fields()[i * states + a] = fields[a] - mean;
    });
    for (int const count : iterations) {
        model.iterations = std::max(model.iterations, std::min(count, options.iterations));
        model.unfinished += count > options.iterations;
    }
    return model;
}

std::vector<float> coupling_norms(PottsModel const& model) {
    std::size_t const length = model.length();
    std::vector<float> norms(length * length, 0.f);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j) {
            auto const block = model.block(i, j);
            double sum = 0;
            for (std::size_t a = 0; a < amino_acid_count; ++a)
                for (std::size_t b = 0; b < amino_acid_count; ++b) {
                    double const value = static_cast<double>(block[a * states + b]);
                    sum += value * value;
                }
            norms[i * length + j] = norms[j * length + i] = static_cast<float>(std::sqrt(sum));
        }
    return norms;
}

} // namespace tape
