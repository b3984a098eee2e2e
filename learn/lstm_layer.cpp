#include "learn/lstm_layer.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace tape {

LstmLayer LstmLayer::take(WeightReader& weights, std::string const& prefix, std::string const& place, std::int64_t in,
                          std::int64_t hidden) {
    return {.input = weights.take(prefix + ".weight_ih_" + place, {4 * hidden, in}),
            .recurrent = weights.take(prefix + ".weight_hh_" + place, {4 * hidden, hidden}),
            .input_bias = weights.take(prefix + ".bias_ih_" + place, {4 * hidden}),
            .recurrent_bias = weights.take(prefix + ".bias_hh_" + place, {4 * hidden})};
}

void LstmLayer::prepare(at::Device device, at::ScalarType precision) {
    for (auto* tensor : {&input, &recurrent, &input_bias, &recurrent_bias}) *tensor = tensor->to(device, precision);
}

at::Tensor LstmLayer::run(at::Tensor const& x) const {
    at::Tensor const start = at::zeros({1, x.size(0), recurrent.size(1)}, recurrent.options());
    auto const [states, hidden, cell] =
        at::lstm(x.to(recurrent.scalar_type()), {start, start}, {input, recurrent, input_bias, recurrent_bias}, true, 1,
                 0.0, false, false, true);
    return states.to(at::kFloat);
}

void draw_lstm(DrawnTensors& drawn, std::string const& prefix, std::string const& place, std::int64_t in,
               std::int64_t hidden) {
    double const bound = 1 / std::sqrt(static_cast<double>(hidden));
    drawn.uniform(prefix + ".weight_ih_" + place, {4 * hidden, in}, bound);
    drawn.uniform(prefix + ".weight_hh_" + place, {4 * hidden, hidden}, bound);
    drawn.uniform(prefix + ".bias_ih_" + place, {4 * hidden}, bound);
    drawn.uniform(prefix + ".bias_hh_" + place, {4 * hidden}, bound);
}

ReadingOrder::ReadingOrder(at::Tensor const& lengths, std::int64_t width) {
    at::Tensor const place = at::arange(width, lengths.options()).unsqueeze(0); // 1 x T
    at::Tensor const end = lengths.unsqueeze(1);                                // B x 1
    back_ = at::where(place.lt(end), end - 1 - place, place).unsqueeze(2);
    last_ = (end - 1).unsqueeze(2);
}

at::Tensor ReadingOrder::reversed(at::Tensor const& x) const { return x.gather(1, back_.expand(x.sizes())); }

at::Tensor ReadingOrder::last(at::Tensor const& x) const {
    return x.gather(1, last_.expand({x.size(0), 1, x.size(2)})).squeeze(1);
}

at::Tensor states_beside(at::Tensor const& forward, at::Tensor const& reverse) {
    std::int64_t const width = forward.size(1);
    return at::cat({at::constant_pad_nd(forward.slice(1, 0, width - 1), {0, 0, 1, 0}),
                    at::constant_pad_nd(reverse.slice(1, 1), {0, 0, 0, 1})},
                   2);
}

} // namespace tape
