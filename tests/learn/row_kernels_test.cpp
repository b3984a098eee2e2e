#include "learn/row_kernels.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace tape {
namespace {

float value_of(float value) { return value; }
float value_of(BFloat16Bits bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }
template <typename Value>
Value as(float value) {
    if constexpr (std::is_same_v<Value, float>)
        return value;
    else // exact for what the tests draw: multiples of 1/8
        return static_cast<BFloat16Bits>(std::bit_cast<std::uint32_t>(value) >> 16U);
}
template <typename Value>
constexpr double bound = std::is_same_v<Value, float> ? 1e-6 : 4e-3; ///< relative

std::vector<float> drawn(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    std::vector<float> values(count);
    for (auto& value : values) value = static_cast<float>(static_cast<int>(random() % 129) - 64) / 8;
    return values;
}

template <typename Value>
class RowKernels : public ::testing::Test {};
using Values = ::testing::Types<float, BFloat16Bits>;
TYPED_TEST_SUITE(RowKernels, Values);

TYPED_TEST(RowKernels, WeightsOfBlocksAreASoftmax) {
    constexpr std::size_t rows = 3, stride = 128;
    for (std::size_t const last : {1, 31, 32, 33, 100}) {
        // Three blocks: 64 keys, 96 keys with far larger scores in the second row, and a ragged end.
        std::vector<std::size_t> const counts{64, 96, last};
        std::vector<float> peak(rows, lowest_peak), sum(rows, 0), rescale(rows);
        std::vector<std::vector<double>> weights(rows), scores(rows);
        for (std::size_t block = 0; block < counts.size(); ++block) {
            std::size_t const count = counts[block], padded = (count + 31) / 32 * 32;
            auto values = drawn(rows * stride, block + last);
            for (std::size_t j = 0; j < stride; ++j) values[stride + j] += block == 1 ? 300.0F : 0.0F;
            for (std::size_t row = 0; row < rows; ++row)
                for (std::size_t j = 0; j < count; ++j)
                    scores[row].push_back(static_cast<double>(values[row * stride + j]));
            std::vector<TypeParam> out(rows * stride);
            exponentiate(SoftmaxBlock<TypeParam>{.scores = values.data(),
                                                 .score_stride = stride,
                                                 .weights = out.data(),
                                                 .weight_stride = stride,
                                                 .rows = rows,
                                                 .count = count,
                                                 .padded = padded,
                                                 .peak = peak.data(),
                                                 .sum = sum.data(),
                                                 .rescale = rescale.data()});
            for (std::size_t row = 0; row < rows; ++row) {
                for (auto& weight : weights[row]) weight *= static_cast<double>(rescale[row]);
                for (std::size_t j = 0; j < count; ++j)
                    weights[row].push_back(static_cast<double>(value_of(out[row * stride + j])));
                for (std::size_t j = count; j < padded; ++j) EXPECT_LT(value_of(out[row * stride + j]), 1e-37F);
            }
        }
        for (std::size_t row = 0; row < rows; ++row) {
            double total = 0;
            for (double const score : scores[row]) total += std::exp2(score - static_cast<double>(peak[row]));
            EXPECT_NEAR(static_cast<double>(sum[row]) / total, 1, bound<TypeParam>);
            for (std::size_t j = 0; j < scores[row].size(); ++j) {
                double const expected = std::exp2(scores[row][j] - static_cast<double>(peak[row])) / total;
                EXPECT_NEAR(weights[row][j] / static_cast<double>(sum[row]), expected, bound<TypeParam> * expected + 1e-30);
            }
        }
    }
}

TYPED_TEST(RowKernels, AddsAndNormalises) {
    for (std::size_t const width : {1, 7, 16, 50, 320})
        for (bool const replace : {false, true})
            for (bool const add : {false, true}) {
                std::size_t const rows = 3;
                auto x = drawn(rows * width, width);
                auto const before = x, change = drawn(rows * width, width + 1), weight = drawn(width, 3),
                           bias = drawn(width, 4);
                std::vector<TypeParam> delta(rows * width), normed(rows * width);
                for (std::size_t i = 0; i < delta.size(); ++i) delta[i] = as<TypeParam>(change[i]);
                add_and_normalise(NormRows<TypeParam>{.x = x.data(),
                                                      .delta = add ? delta.data() : nullptr,
                                                      .weight = weight.data(),
                                                      .bias = bias.data(),
                                                      .epsilon = 1e-5,
                                                      .normed = normed.data(),
                                                      .replace = replace,
                                                      .rows = rows,
                                                      .width = width});
                for (std::size_t row = 0; row < rows; ++row) {
                    std::vector<double> sums(width);
                    double mean = 0, variance = 0;
                    for (std::size_t k = 0; k < width; ++k) {
                        std::size_t const i = row * width + k;
                        sums[k] = static_cast<double>(before[i] + (add ? change[i] : 0.0F));
                        mean += sums[k] / static_cast<double>(width);
                    }
                    for (double const value : sums) variance += (value - mean) * (value - mean) / static_cast<double>(width);
                    for (std::size_t k = 0; k < width; ++k) {
                        std::size_t const i = row * width + k;
                        double const expected = (sums[k] - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(weight[k]) +
                                                static_cast<double>(bias[k]);
                        EXPECT_NEAR(static_cast<double>(value_of(normed[i])), expected,
                                    bound<TypeParam> * (std::abs(expected) + 10));
                        EXPECT_NEAR(static_cast<double>(x[i]), replace ? expected : sums[k], 1e-4);
                    }
                }
            }
}

TYPED_TEST(RowKernels, StepsTheGatesOfAnLstm) {
    for (std::size_t const units : {1, 15, 16, 40}) {
        std::size_t const rows = 3;
        auto const table = drawn(2 * 4 * units, 5), change = drawn(rows * 4 * units, 6), states = drawn(rows * units, 7);
        std::vector<TypeParam> product(change.size());
        for (std::size_t i = 0; i < product.size(); ++i) product[i] = as<TypeParam>(change[i]);
        std::vector<float> const far(4 * units, 1000.0F); // saturated
        std::vector<float const*> const inputs{table.data() + 4 * units, table.data(), far.data()},
            cells{states.data() + 2 * units, states.data(), states.data()};
        std::vector<float> next(rows * units), hidden(rows * units);
        step_gates(GateRows<TypeParam>{.input = inputs.data(),
                                       .product = product.data(),
                                       .cell = cells.data(),
                                       .next_cell = next.data(),
                                       .hidden = hidden.data(),
                                       .rows = rows,
                                       .units = units});
        auto const sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t k = 0; k < units; ++k) {
                auto const gate = [&](std::size_t g) {
                    return static_cast<double>(inputs[row][g * units + k] + change[(row * 4 + g) * units + k]);
                };
                double const cell =
                    sigmoid(gate(1)) * static_cast<double>(cells[row][k]) + sigmoid(gate(0)) * std::tanh(gate(3));
                EXPECT_NEAR(next[row * units + k], cell, 4e-6);
                EXPECT_NEAR(hidden[row * units + k], sigmoid(gate(2)) * std::tanh(cell), 4e-6);
            }
    }
}

TYPED_TEST(RowKernels, CopiesTurnsAndTransposesAHead) {
    for (std::size_t const size : {2, 6, 16, 24}) {
        std::size_t const rows = 5, stride = 40, half = size / 2;
        auto const values = drawn(rows * stride, size), cos = drawn(rows * half, 1), sin = drawn(rows * half, 2);
        std::vector<TypeParam> in(values.size()), plain(rows * size), turned(rows * size);
        for (std::size_t i = 0; i < in.size(); ++i) in[i] = as<TypeParam>(values[i]);
        HeadRows<TypeParam> head{.in = in.data(), .stride = stride, .cos = nullptr, .sin = nullptr, .scale = 0.5F,
                                 .rows = rows, .size = size};
        copy_head(head, plain.data());
        head.cos = cos.data(), head.sin = sin.data();
        copy_head(head, turned.data());
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = 0; i < half; ++i) {
                float const a = values[row * stride + i], b = values[row * stride + i + half], c = cos[row * half + i],
                            s = sin[row * half + i];
                EXPECT_EQ(value_of(plain[row * size + i]), a / 2);
                double const scale = bound<TypeParam> * 200;
                EXPECT_NEAR(value_of(turned[row * size + i]), (a * c - b * s) / 2, scale);
                EXPECT_NEAR(value_of(turned[row * size + i + half]), (b * c + a * s) / 2, scale);
            }
        std::vector<TypeParam> columns(size * 8, TypeParam{0});
        transpose_head(plain.data(), rows, size, columns.data(), 8);
        for (std::size_t row = 0; row < rows; ++row)
            for (std::size_t i = 0; i < size; ++i) {
                std::size_t const place = std::is_same_v<TypeParam, float> ? i * 8 + row : i / 2 * 16 + row * 2 + i % 2;
                EXPECT_EQ(columns[place], plain[row * size + i]);
            }
        std::vector<float> const sums{1, 2, 4, 8, 0.5F};
        std::vector<float> numbers(rows * size);
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 13);
        std::vector<TypeParam> shares(rows * stride);
        divide_rows(numbers.data(), sums.data(), rows, size, shares.data(), stride);
        for (std::size_t i = 0; i < numbers.size(); ++i)
            EXPECT_EQ(value_of(shares[i / size * stride + i % size]), numbers[i] / sums[i / size]);
    }
}

TEST(RowKernelsPairs, PutsRowsSideBySide) {
    std::vector<BFloat16Bits> const in{1, 2, 0, 3, 4, 0, 5, 6, 0};
    std::vector<BFloat16Bits> out(8, 9);
    pair_rows(in.data(), 3, 3, 2, out.data());
    EXPECT_EQ(out, (std::vector<BFloat16Bits>{1, 3, 2, 4, 5, 0, 6, 0}));
}

} // namespace
} // namespace tape
