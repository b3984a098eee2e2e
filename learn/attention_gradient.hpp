#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace tape {

/// Backward of `packed_attention` for training, on the CPU: the weights of the softmax are computed once more, by
/// blocks of 32 queries (Dao et al., arXiv:2205.14135), so memory stays O(L) a head. N rows, those behind the last
/// sequence without a meaning.
struct AttentionGradient {
    at::Tensor qkv;      ///< N x 3 x heads x head_size, turned by rotary positions; float32 or bfloat16
    at::Tensor out;      ///< N x heads * head_size, as packed_attention gave it
    at::Tensor levels;   ///< heads x N, as packed_attention gave it
    at::Tensor gradient; ///< N x heads * head_size: of `out`
    at::Tensor cos, sin; ///< positions x head_size / 2, float32
    bool causal = false;
};
/// @param result  like qkv, changed: the gradient of the projection before it was turned; zero behind the last sequence
void attention_gradient(AttentionGradient const& work, std::vector<std::int64_t> const& starts,
                        at::Tensor const& result);

} // namespace tape
