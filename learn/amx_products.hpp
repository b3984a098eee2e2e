#pragma once

#include "learn/row_kernels.hpp"

#include <cstddef>

// The two products of attention over one head in bfloat16 on Intel's matrix unit (AMX). Heads are narrow, and
// LibTorch's `brgemm` spends more time around the unit than in it: attention with it took 4.7 us a token and layer,
// with these 3.3 (20 heads of 16, 384 tokens, one core; at::scaled_dot_product_attention 5.0). No torch here.
namespace tape {

/// Whether they can be used for heads of this size here; the process must have been given the unit (at::cpu::init_amx).
bool amx_takes(std::size_t head_size);

/// One head's block: 32 queries, `padded` keys, a multiple of 32. Strides in elements.
struct AmxHead {
    BFloat16Bits const* queries; ///< 32 x size
    BFloat16Bits const* keys;    ///< size / 2 x key_stride x 2
    BFloat16Bits const* values;  ///< padded / 2 x size x 2
    std::size_t size, padded, key_stride, block_stride;
};

/// Of one thread, between `AmxTiles` construction and destruction: the unit's registers, laid out for a head size.
class AmxTiles {
  public:
    explicit AmxTiles(std::size_t head_size);
    ~AmxTiles();
    AmxTiles(AmxTiles const&) = delete;
    AmxTiles& operator=(AmxTiles const&) = delete;

    /// scores (32 x padded, block_stride apart) = queries keys'
    void scores(AmxHead const& head, float* scores) const;
    /// mixed (32 x size) = weights (32 x padded, block_stride apart) values
    void mix(AmxHead const& head, BFloat16Bits const* weights, float* mixed) const;
    /// sums (rows x columns, `stride` apart) += left (rows x 32) right (16 x columns x 2, 2 * `stride` apart)
    /// @param rows, columns  multiples of 16
    void add_product(BFloat16Bits const* left, BFloat16Bits const* right, float* sums, std::size_t rows,
                     std::size_t columns, std::size_t stride) const;
};

} // namespace tape
