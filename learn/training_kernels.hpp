#pragma once

#include "learn/row_kernels.hpp"

#include <cstddef>
#include <cstdint>

// Loops over rows that training a Transformer spends its time in outside of matrix products: with learn/row_kernels.hpp
// all that stands between the products of a step. Compiled for AVX2 and AVX-512 and chosen when the program runs. No
// torch here; all are compared with autograd in tests/learn/training_pass_test.cpp. Value: float or BFloat16Bits; sums
// over rows are added to what is there.
namespace tape {

/// Adds its bias to a packed projection and turns queries and keys by rotary positions (learn/rotary.hpp), in place.
template <typename Value> struct TurnRows {
    Value* qkv;                    ///< rows x 3 x heads x size
    float const* bias;             ///< 3 x heads x size
    float const *cos, *sin;        ///< positions x size / 2
    std::int64_t const* positions; ///< rows
    std::size_t rows, heads, size;
};
void turn_rows(TurnRows<float> const& work);
void turn_rows(TurnRows<BFloat16Bits> const& work);

/// The way back for the gradient of one head: turned by minus the position, scaled.
struct TurnBack {
    float const* in;        ///< rows x size
    float const *cos, *sin; ///< rows x size / 2, of the first row's position on; null = no rotation
    float scale;
    std::size_t rows, size, out_stride;
};
void turn_back(TurnBack const& head, float* out);
void turn_back(TurnBack const& head, BFloat16Bits* out);

/// sum = x + delta + bias, then layer normalisation (Ba et al., arXiv:1607.06450) of it.
template <typename Value> struct SumRows {
    float const* x;             ///< rows x width
    Value const* delta;         ///< rows x width
    float const* delta_bias;    ///< width
    float* sum;                 ///< rows x width
    float const *weight, *bias; ///< width; null weight: no norm is wanted
    double epsilon;
    Value* normed; ///< rows x width
    std::size_t rows, width;
};
void add_rows_and_normalise(SumRows<float> const& work);
void add_rows_and_normalise(SumRows<BFloat16Bits> const& work);

/// Backward of layer normalisation into a residual stream.
template <typename Value> struct NormGradientRows {
    float const* x;        ///< rows x width: what was normalised
    Value const* gradient; ///< rows x width: of the norm's result
    float const* weight;   ///< width
    double epsilon;
    float* stream;  ///< rows x width: gradient of x by the way around the norm; the norm's is added
    Value* lowered; ///< rows x width: the same, rounded
    float *weight_gradient, *bias_gradient, *stream_sums; ///< width, sums over rows
    std::size_t rows, width;
};
void norm_gradient(NormGradientRows<float> const& work);
void norm_gradient(NormGradientRows<BFloat16Bits> const& work);

/// GELU with the error function (Hendrycks & Gimpel, arXiv:1606.08415) of in + bias; the error function within 1.5e-7
/// (Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.26).
template <typename Value> struct GeluRows {
    Value const* in;   ///< rows x width
    float const* bias; ///< width
    Value* out;        ///< rows x width
    std::size_t rows, width;
};
void gelu_rows(GeluRows<float> const& work);
void gelu_rows(GeluRows<BFloat16Bits> const& work);

/// Its backward, with its result once more.
template <typename Value> struct GeluGradientRows {
    GeluRows<Value> forward;
    Value* gradient; ///< rows x width: of the result; becomes that of `in`
    float* sums;     ///< width: sums of the latter over rows
};
void gelu_gradient(GeluGradientRows<float> const& work);
void gelu_gradient(GeluGradientRows<BFloat16Bits> const& work);

/// sums[k] += the sum of column k. in: rows x width
void add_column_sums(float const* in, std::size_t rows, std::size_t width, float* sums);
void add_column_sums(BFloat16Bits const* in, std::size_t rows, std::size_t width, float* sums);

/// Backward of the softmax of attention for a block of queries. With P = 2^(score - level) and dS = P (product - dot),
/// leaves P in the scores' place and dS in the products' (float), or writes both rounded: dS row by row, and both with
/// pairs of rows side by side.
struct AttentionGradientRows {
    float *scores, *products;         ///< rows x padded, `stride` apart: in units of log 2; gradient of P
    float const *level, *dot;         ///< rows: log2 of the softmax's sum; product of the output with its gradient
    std::size_t stride, rows, padded; ///< rows: even; padded: a multiple of 16
    BFloat16Bits* gradient = nullptr; ///< rows x padded, `stride` apart; null: float
    BFloat16Bits *weight_pairs = nullptr, *gradient_pairs = nullptr; ///< rows / 2 x stride x 2
};
void attention_gradient(AttentionGradientRows const& work);

/// in: rows x size, `stride` apart; out: size x out_stride
void transpose_rows(BFloat16Bits const* in, std::size_t stride, std::size_t rows, std::size_t size, BFloat16Bits* out,
                    std::size_t out_stride);

} // namespace tape
