#include "learn/token_batch.hpp"

#include <ATen/ops/full.h>

#include <algorithm>
#include <limits>

namespace tape {

TokenBatch TokenBatch::from(std::vector<std::vector<std::int64_t>> const& rows, at::Device device,
                            std::int64_t padding) {
    std::size_t longest = 0, shortest = std::numeric_limits<std::size_t>::max();
    for (auto const& row : rows) longest = std::max(longest, row.size()), shortest = std::min(shortest, row.size());
    at::Tensor tokens =
        at::full({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(longest)}, padding, at::kLong);
    auto* const data = tokens.mutable_data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < rows.size(); ++i) std::ranges::copy(rows[i], data + i * longest);
    return {tokens.to(device), shortest != longest};
}

} // namespace tape
