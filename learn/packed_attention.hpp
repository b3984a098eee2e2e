#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace tape {

/// Sequences of one step, one behind the other without padding.
struct PackedTokens {
    std::vector<std::int64_t> tokens; ///< N
    std::vector<std::int64_t> starts; ///< of each sequence, and N

    void append(std::vector<std::int64_t> const& sequence);
    [[nodiscard]] std::size_t count() const { return starts.size() - 1; }
    [[nodiscard]] std::int64_t longest() const;
};

/// softmax(q k' / sqrt(head_size)) v of each sequence by itself, on the CPU. Keys are read in blocks that
/// stay in cache and the softmax is accumulated over them (Milakov & Gimelshein, arXiv:1805.02867; Rabe & Staats,
/// arXiv:2112.05682): O(L) memory. Products of bfloat16 are summed in float; softmax in float.
///
/// @param qkv     at least N x 3 x heads x head_size, float32 or bfloat16, contiguous
/// @param starts  of each sequence, and N
/// @param cos     positions x head_size/2, float32, for rotary positions; undefined for none; the same for sin
/// @return        like qkv's rows, x heads * head_size; rows behind N are zero
at::Tensor packed_attention(at::Tensor const& qkv, std::vector<std::int64_t> const& starts, at::Tensor const& cos,
                            at::Tensor const& sin);

/// The same for training. The backward (learn/attention_gradient.hpp) reads what it writes.
/// @param qkv     turned by rotary positions already
/// @param causal  whether a token sees only itself and those before it
/// @param out     rows of qkv x heads * head_size, changed
/// @param levels  heads x rows of qkv (at least so many values), float32, changed: log2 of the softmax's sum
void packed_attention(at::Tensor const& qkv, std::vector<std::int64_t> const& starts, bool causal,
                      at::Tensor const& out, at::Tensor const& levels);

} // namespace tape
