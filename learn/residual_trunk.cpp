#include "learn/residual_trunk.hpp"

#include <cmath>

namespace tape {
namespace {

constexpr double column_dropout = 0.1, block_dropout = 0.25;

/// T x (5 H): every position's neighbours at the given distance, two to either side.
at::Tensor dilated_windows(at::Tensor const& x, std::int64_t dilation) {
    auto const total = x.size(0), width = x.size(1), reach = ResidualTrunk::kernel / 2 * dilation;
    return at::constant_pad_nd(x, {0, 0, reach, reach})
        .as_strided({total, ResidualTrunk::kernel, width}, {width, dilation * width, 1})
        .reshape({total, ResidualTrunk::kernel * width});
}

} // namespace

ResidualTrunk::ResidualTrunk(std::int64_t width, HeadParameters& parameters, at::ScalarType type)
    : parameters_{parameters}, type_{type} {
    project_ = parameters.draw({hidden, width}, std::sqrt(1.0 / static_cast<double>(width)));
    project_bias_ = parameters.constant({hidden}, 0);
    for (std::size_t k = 0; k < dilations.size(); ++k) {
        weights_.push_back(parameters.draw({hidden, kernel * hidden}, 0.5 / std::sqrt(kernel * hidden)));
        biases_.push_back(parameters.constant({hidden}, 0));
    }
}

at::Tensor ResidualTrunk::operator()(PackedRows const& packed, bool train) {
    auto const total = packed.inside.size(0);
    at::Tensor weight = project_.to(type_);
    // Dropping a whole column is dropping its weights, at no cost a residue.
    if (train) weight = weight * parameters_.dropout({weight.size(1)}, column_dropout, type_);
    at::Tensor x = at::linear(packed.rows.narrow(0, separator, total), weight, project_bias_.to(type_));
    for (std::size_t k = 0; k < dilations.size(); ++k) {
        at::Tensor const inner = at::rms_norm(x, {hidden}).relu() * packed.inside;
        at::Tensor change =
            at::linear(dilated_windows(inner, dilations[k]), weights_[k].to(type_), biases_[k].to(type_));
        if (train) change = change * parameters_.dropout({total, hidden}, block_dropout, type_);
        x = x + change;
    }
    return at::rms_norm(x, {hidden}).relu() * packed.inside;
}

} // namespace tape
