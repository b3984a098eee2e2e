#pragma once

#include <torch/types.h>

namespace tape {

/// Rotary position encoding (Su et al., arXiv:2104.09864) of the query and key halves of a packed projection; values
/// pass through. Pairs are (i, i + head_size/2), as ESM-2 and GPT-NeoX have them. Differentiable.
///
/// @param qkv  B x T x 3 x heads x head_size, float32 or bfloat16, contiguous
/// @param cos  T x head_size/2, float32; the same for sin
/// @return     like qkv
at::Tensor rotate(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin);

/// The same written with whole-tensor operations: what `rotate` is checked against, and what other devices use.
at::Tensor rotate_reference(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin);

} // namespace tape
