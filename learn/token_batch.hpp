#pragma once

#include "learn/tokenizer.hpp"

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace tape {

/// Padded sequences of one step. T = longest + specials.
struct TokenBatch {
    at::Tensor tokens;  ///< B x T, int64, padding on the right
    bool padded = true; ///< whether any padding is there

    static TokenBatch from(std::vector<std::vector<std::int64_t>> const& rows, at::Device device,
                           std::int64_t padding = EsmTokenizer::pad);
};

} // namespace tape
