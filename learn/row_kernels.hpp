#pragma once

#include <cstddef>
#include <cstdint>

// Loops over rows that inference spends its time in outside of matrix products, compiled for AVX2 and AVX-512 and
// chosen when the program runs. No torch here; every kernel has a plain counterpart in
// tests/learn/row_kernels_test.cpp.
namespace tape {

/// The upper half of a float's bits.
using BFloat16Bits = std::uint16_t;

/// One block of attention scores, `rows` queries x `count` keys, as weights of a softmax that sees its keys block by
/// block (Milakov & Gimelshein, arXiv:1805.02867). Scores are in units of log 2. Of every row, `peak` (start:
/// lowest_peak) is the largest score so far, rounded up to a whole number, `sum` (start: 0) that of its weights
/// 2^(score - peak); `rescale` is what earlier weights must be multiplied with. Weights of bfloat16 are within 1e-4
/// before they are rounded, those of float within 3e-7.
template <typename Weight> struct SoftmaxBlock {
    float* scores; ///< rows x padded, `score_stride` apart; those behind `count` are lost
    std::size_t score_stride;
    Weight* weights; ///< rows x padded: below 1e-37 behind `count`; may be the scores' own place
    std::size_t weight_stride;
    std::size_t rows, count, padded; ///< padded: a multiple of 32
    float *peak, *sum, *rescale;     ///< rows
};
inline constexpr float lowest_peak = -1e30F;
void exponentiate(SoftmaxBlock<float> const& block);
void exponentiate(SoftmaxBlock<BFloat16Bits> const& block);

/// x += delta, then layer normalisation (Ba et al., arXiv:1607.06450) of x in float.
template <typename Value> struct NormRows {
    float* x;           ///< rows x width
    Value const* delta; ///< rows x width, or null
    float const *weight, *bias;
    double epsilon;
    Value* normed; ///< rows x width
    bool replace;  ///< whether x becomes the normalised value, as in post-norm networks
    std::size_t rows, width;
};
void add_and_normalise(NormRows<float> const& work);
void add_and_normalise(NormRows<BFloat16Bits> const& work);

/// One step of an LSTM's state for `rows` sequences, gates in the order input, forget, output, new:
///   z = input + product;  cell' = s(z_f) cell + s(z_i) tanh(z_u);  hidden = s(z_o) tanh(cell')
template <typename Value> struct GateRows {
    float const* const* input; ///< rows pointers to 4 x units
    Value const* product;      ///< rows x 4 x units
    float const* const* cell;  ///< rows pointers to units
    float *next_cell, *hidden; ///< rows x units
    std::size_t rows, units;
};
void step_gates(GateRows<float> const& gates);
void step_gates(GateRows<BFloat16Bits> const& gates);

/// One head of a packed projection for `rows` tokens: scaled, and turned by rotary positions (learn/rotary.hpp).
template <typename Value> struct HeadRows {
    Value const* in; ///< rows x size, `stride` apart
    std::size_t stride;
    float const *cos, *sin; ///< rows x size / 2, of the first row's position on; null = no rotation
    float scale;
    std::size_t rows, size;
};
/// out: rows x size
void copy_head(HeadRows<float> const& head, float* out);
void copy_head(HeadRows<BFloat16Bits> const& head, BFloat16Bits* out);

/// in: rows x size; out: size x stride, column `row` and on
void transpose_head(float const* in, std::size_t rows, std::size_t size, float* out, std::size_t stride);
/// The same with pairs of dimensions side by side, as bfloat16 products take them: size / 2 x stride x 2. size is even.
void transpose_head(BFloat16Bits const* in, std::size_t rows, std::size_t size, BFloat16Bits* out, std::size_t stride);
/// in: rows x size, `stride` apart; out: (rows + 1) / 2 x size x 2, pairs of rows side by side
void pair_rows(BFloat16Bits const* in, std::size_t stride, std::size_t rows, std::size_t size, BFloat16Bits* out);

/// out = in / sum, row by row, each `out_stride` apart. in: rows x size
void divide_rows(float const* in, float const* sum, std::size_t rows, std::size_t size, float* out,
                 std::size_t out_stride);
void divide_rows(float const* in, float const* sum, std::size_t rows, std::size_t size, BFloat16Bits* out,
                 std::size_t out_stride);

} // namespace tape
