#include "learn/head_rows.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <numeric>

namespace tape {
namespace {

constexpr std::int64_t largest_batch = 2048, smallest_batch = 512; // residues
constexpr std::int64_t token_step =
    512; // batches are filled up to a multiple: oneDNN compiles its kernels anew for every size
constexpr std::int64_t memory_limit = std::int64_t{2} << 30;

} // namespace

RowSplit::RowSplit(std::vector<Item> items, std::string name, int width, at::ScalarType type, std::int64_t separator)
    : items_{std::move(items)}, name_{std::move(name)}, width_{width}, type_{type}, separator_{separator} {
    for (auto const& item : items_) tokens_ += item.length;
}

FeatureMatrix RowSplit::checked_rows(std::size_t n) const {
    FeatureMatrix rows = (*items_[n].rows)();
    check_features(rows, width_, name_, n);
    if (rows.rows() != length(n))
        throw data_error{name_ + " protein " + std::to_string(n) + " has " + std::to_string(rows.rows()) +
                         " feature rows for a length of " + std::to_string(length(n))};
    return rows;
}

void RowSplit::set_scaling(RunningScaling const& scaling, bool keep) {
    scaling_ = &scaling;
    if (!keep || tokens_ * width_ * static_cast<std::int64_t>(c10::elementSize(type_)) > memory_limit) return;
    for (std::size_t n = 0; n < size(); ++n) kept_.push_back(read(n));
}

at::Tensor RowSplit::read(std::size_t n) const {
    FeatureMatrix rows = checked_rows(n);
    scaling_->standardise(rows);
    return at::from_blob(rows.data(), {rows.rows(), width_}, at::kFloat).to(type_, false, true);
}

PackedRows RowSplit::pack(std::span<std::size_t const> proteins, at::Device device) const {
    PackedRows packed;
    std::int64_t total = 0;
    for (std::size_t n : proteins) {
        packed.begins.push_back(total), packed.lengths.push_back(length(n));
        total += length(n) + separator_;
    }
    total = (total + token_step - 1) / token_step * token_step;
    at::Tensor rows = at::zeros({total + 2 * separator_, width_}, type_), inside = at::zeros({total, 1}, type_);
    for (std::size_t k = 0; k < proteins.size(); ++k) {
        rows.narrow(0, separator_ + packed.begins[k], packed.lengths[k])
            .copy_(kept_.empty() ? read(proteins[k]) : kept_[proteins[k]]);
        inside.narrow(0, packed.begins[k], packed.lengths[k]).fill_(1);
    }
    packed.rows = rows.to(device), packed.inside = inside.to(device);
    return packed;
}

std::vector<std::vector<std::size_t>> token_batches(RowSplit const& split, std::vector<std::size_t> const& order,
                                                    std::int64_t tokens) {
    std::vector<std::vector<std::size_t>> batches;
    std::int64_t filled = tokens;
    for (std::size_t n : order) {
        if (split.length(n) == 0) continue;
        if (filled >= tokens) batches.emplace_back(), filled = 0;
        batches.back().push_back(n);
        filled += split.length(n);
    }
    return batches;
}

std::vector<std::size_t> natural_order(std::size_t size) {
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    return order;
}

std::int64_t batch_tokens(RowSplit const& train) {
    return std::clamp(train.tokens() / 20, smallest_batch, largest_batch);
}

int default_epochs(RowSplit const& train) {
    auto const steps = std::max<std::int64_t>(1, train.tokens() / batch_tokens(train));
    return static_cast<int>(std::clamp<std::int64_t>(1000 / steps, 10, 25));
}

} // namespace tape
