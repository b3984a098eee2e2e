#include "learn/training_pass.hpp"

#include "data/error.hpp"
#include "learn/attention_gradient.hpp"
#include "learn/training_kernels.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>

namespace tape {
namespace {

// oneDNN compiles a product anew for every number of rows: few are used. Rows behind the last token are zero on the way
// in, and their gradients are.
constexpr std::int64_t round_rows = 256;

template <typename Value> Value const* values_of(at::Tensor const& tensor) {
    return static_cast<Value const*>(tensor.const_data_ptr());
}
template <typename Value> Value* places_of(at::Tensor const& tensor) {
    return static_cast<Value*>(tensor.mutable_data_ptr());
}

/// Calls body(Value{}, ...) for the type of a tensor's values.
template <typename Body> void for_type(at::ScalarType type, Body const& body) {
    if (type == at::kBFloat16)
        body(BFloat16Bits{});
    else
        body(float{});
}

/// body(chunk, first row, rows): one chunk a thread, the same for every call with the same number of threads.
void for_chunks(std::int64_t rows, std::function<void(std::size_t, std::int64_t, std::int64_t)> const& body) {
    std::int64_t const chunks = at::get_num_threads();
    at::parallel_for(0, chunks, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t chunk = begin; chunk < end; ++chunk) {
            std::int64_t const first = rows * chunk / chunks, last = rows * (chunk + 1) / chunks;
            if (last > first) body(static_cast<std::size_t>(chunk), first, last - first);
        }
    });
}

/// Sums over rows of several columns: each thread's own, added up in a fixed order.
class ColumnSums {
  public:
    ColumnSums(std::size_t kinds, std::int64_t width) : kinds_{kinds}, width_{static_cast<std::size_t>(width)} {
        values_.assign(static_cast<std::size_t>(at::get_num_threads()) * kinds_ * width_, 0.0F);
    }
    [[nodiscard]] float* of(std::size_t chunk, std::size_t kind) {
        return values_.data() + (chunk * kinds_ + kind) * width_;
    }
    void add_to(std::size_t kind, at::Tensor const& gradient) {
        float* const to = gradient.mutable_data_ptr<float>();
        for (std::size_t chunk = 0; chunk * kinds_ * width_ < values_.size(); ++chunk)
            for (std::size_t k = 0; k < width_; ++k) to[k] += of(chunk, kind)[k];
    }

  private:
    std::size_t kinds_, width_;
    std::vector<float> values_;
};

std::size_t width_of(at::Tensor const& rows) { return static_cast<std::size_t>(rows.numel() / rows.size(0)); }

/// out = a b
void multiply(at::Tensor out, at::Tensor const& a, at::Tensor const& b) { at::mm_out(out, a, b); }

/// Adds out' in to a weight's gradient.
void add_weight_gradient(at::Tensor const& weight, at::Tensor const& out, at::Tensor const& in) {
    at::Tensor{weight.grad()}.add_(at::mm(out.t(), in));
}

struct NormParameters {
    at::Tensor const &weight, &bias;
};

template <typename Value>
void add_and_normalise(at::Tensor const& x, at::Tensor const& delta, at::Tensor const& delta_bias,
                       at::Tensor const& sum, NormParameters const* norm, double epsilon, at::Tensor const& normed) {
    std::size_t const width = width_of(x);
    for_chunks(x.size(0), [&](std::size_t, std::int64_t first, std::int64_t rows) {
        auto const place = static_cast<std::size_t>(first) * width;
        add_rows_and_normalise(SumRows<Value>{.x = values_of<float>(x) + place,
                                              .delta = delta.defined() ? values_of<Value>(delta) + place : nullptr,
                                              .delta_bias = delta.defined() ? values_of<float>(delta_bias) : nullptr,
                                              .sum = sum.defined() ? places_of<float>(sum) + place : nullptr,
                                              .weight = norm ? values_of<float>(norm->weight) : nullptr,
                                              .bias = norm ? values_of<float>(norm->bias) : nullptr,
                                              .epsilon = epsilon,
                                              .normed = norm ? places_of<Value>(normed) + place : nullptr,
                                              .rows = static_cast<std::size_t>(rows),
                                              .width = width});
    });
}

/// Backward of a norm into the residual stream. @param below  gradient of the bias that was added to the stream just
/// before; may be undefined
void backward_norm(at::Tensor const& x, NormParameters norm, double epsilon, at::Tensor const& gradient,
                   at::Tensor const& stream, at::Tensor const& lowered, at::Tensor const& below) {
    ColumnSums sums{3, x.size(1)};
    std::size_t const width = width_of(x);
    for_type(lowered.scalar_type(), [&](auto value) {
        using Value = decltype(value);
        for_chunks(x.size(0), [&](std::size_t chunk, std::int64_t first, std::int64_t rows) {
            auto const place = static_cast<std::size_t>(first) * width;
            norm_gradient(NormGradientRows<Value>{.x = values_of<float>(x) + place,
                                                  .gradient = values_of<Value>(gradient) + place,
                                                  .weight = values_of<float>(norm.weight),
                                                  .epsilon = epsilon,
                                                  .stream = places_of<float>(stream) + place,
                                                  .lowered = places_of<Value>(lowered) + place,
                                                  .weight_gradient = sums.of(chunk, 0),
                                                  .bias_gradient = sums.of(chunk, 1),
                                                  .stream_sums = sums.of(chunk, 2),
                                                  .rows = static_cast<std::size_t>(rows),
                                                  .width = width});
        });
    });
    sums.add_to(0, norm.weight.grad()), sums.add_to(1, norm.bias.grad());
    if (below.defined()) sums.add_to(2, below.grad());
}

void add_bias_gradient(at::Tensor const& bias, at::Tensor const& gradient) {
    ColumnSums sums{1, bias.numel()};
    std::size_t const width = width_of(gradient);
    for_type(gradient.scalar_type(), [&](auto value) {
        for_chunks(gradient.size(0), [&](std::size_t chunk, std::int64_t first, std::int64_t rows) {
            add_column_sums(values_of<decltype(value)>(gradient) + static_cast<std::size_t>(first) * width,
                            static_cast<std::size_t>(rows), width, sums.of(chunk, 0));
        });
    });
    sums.add_to(0, bias.grad());
}

template <typename Value>
GeluRows<Value> gelu_work(at::Tensor const& in, at::Tensor const& bias, at::Tensor const& out, std::int64_t first,
                          std::int64_t rows) {
    auto const width = width_of(in), place = static_cast<std::size_t>(first) * width;
    return {.in = values_of<Value>(in) + place,
            .bias = values_of<float>(bias),
            .out = places_of<Value>(out) + place,
            .rows = static_cast<std::size_t>(rows),
            .width = width};
}

/// The table's gradient: rows of one token added up, each column by one thread.
void add_embedding_gradient(at::Tensor const& table, at::Tensor const& tokens, at::Tensor const& stream,
                            std::int64_t count) {
    float* const to = table.grad().mutable_data_ptr<float>();
    auto const* const from = values_of<float>(stream);
    auto const* const ids = values_of<std::int64_t>(tokens);
    std::int64_t const width = table.size(1);
    at::parallel_for(0, width, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = 0; row < count; ++row)
            for (std::int64_t k = begin; k < end; ++k) to[ids[row] * width + k] += from[row * width + k];
    });
}

} // namespace

void TrainingPass::refresh() {
    at::NoGradGuard const no_gradients;
    auto const type = model_->compute_type();
    layers_.resize(model_->layers().size());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        auto const lower = [&](at::Tensor& kept, at::Tensor const& weight) {
            if (type == at::kFloat)
                kept = weight.detach();
            else if (kept.defined())
                kept.copy_(weight);
            else
                kept = weight.detach().to(type);
        };
        lower(layers_[i].qkv_weight, layer(i).qkv_weight), lower(layers_[i].output_weight, layer(i).output_weight);
        lower(layers_[i].up_weight, layer(i).up_weight), lower(layers_[i].down_weight, layer(i).down_weight);
    }
}

void TrainingPass::reserve(std::int64_t rows) {
    rows_ = rows;
    if (rows <= capacity_) return;
    capacity_ = rows;
    auto const& config = model_->config();
    std::int64_t const d = config.hidden, f = config.feed_forward_size();
    auto const type = model_->compute_type();
    for (auto& state : layers_) {
        state.first = at::empty({rows, d}, at::kFloat), state.middle = at::empty({rows, d}, at::kFloat);
        state.normed = at::empty({rows, d}, type), state.ffn_normed = at::empty({rows, d}, type);
        state.mixed = at::empty({rows, d}, type);
        state.qkv = at::empty({rows, 3 * d}, type), state.up = at::empty({rows, f}, type);
        state.levels = at::empty({config.heads * rows}, at::kFloat);
    }
    last_ = at::empty({rows, d}, at::kFloat), stream_ = at::empty({rows, d}, at::kFloat);
    delta_ = at::empty({rows, d}, type), lowered_ = at::empty({rows, d}, type), narrow_ = at::empty({rows, d}, type);
    wide_ = at::empty({rows, f}, type), gated_ = at::empty({rows, f}, type), qkv_ = at::empty({rows, 3 * d}, type);
}

at::Tensor TrainingPass::forward(PackedTokens const& batch) {
    at::NoGradGuard const no_gradients;
    if (model_->config().token_dropout) throw error{"networks with token dropout cannot be trained"};
    tokens_ = static_cast<std::int64_t>(batch.tokens.size());
    reserve((tokens_ + round_rows - 1) / round_rows * round_rows);
    starts_ = batch.starts;
    model_->extend_rotary(batch.longest());
    std::vector<std::int64_t> positions(static_cast<std::size_t>(rows_), 0);
    for (std::size_t s = 0; s < batch.count(); ++s)
        for (std::int64_t t = starts_[s]; t < starts_[s + 1]; ++t)
            positions[static_cast<std::size_t>(t)] = t - starts_[s];
    positions_ = at::tensor(positions, at::kLong), token_ids_ = at::tensor(batch.tokens, at::kLong);
    at::Tensor x = layers_.front().first.slice(0, 0, tokens_);
    at::index_select_out(x, model_->embedding(), 0, token_ids_);
    layers_.front().first.slice(0, tokens_, rows_).zero_();
    for (std::size_t i = 0; i < layers_.size(); ++i) forward_layer(i);
    return last_.slice(0, 0, tokens_);
}

void TrainingPass::forward_layer(std::size_t index) {
    auto& state = layers_[index];
    auto const& weights = layer(index);
    auto const& config = model_->config();
    auto const heads = static_cast<std::size_t>(config.heads), size = static_cast<std::size_t>(config.head_size());
    auto const [cos, sin] = model_->rotary();
    at::Tensor const qkv = rows_of(state.qkv), mixed = rows_of(state.mixed), up = rows_of(state.up),
                     delta = rows_of(delta_), wide = rows_of(wide_);
    for_type(model_->compute_type(), [&](auto value) {
        using Value = decltype(value);
        NormParameters const norm{weights.norm_weight, weights.norm_bias};
        if (index == 0)
            add_and_normalise<Value>(rows_of(state.first), {}, {}, {}, &norm, config.norm_epsilon,
                                     rows_of(state.normed));
        else
            add_and_normalise<Value>(rows_of(layers_[index - 1].middle), delta, layer(index - 1).down_bias,
                                     rows_of(state.first), &norm, config.norm_epsilon, rows_of(state.normed));
        multiply(qkv, rows_of(state.normed), state.qkv_weight.t());
        for_chunks(rows_, [&](std::size_t, std::int64_t first, std::int64_t rows) {
            turn_rows(TurnRows<Value>{.qkv = places_of<Value>(qkv) + static_cast<std::size_t>(first) * 3 * heads * size,
                                      .bias = values_of<float>(weights.qkv_bias),
                                      .cos = values_of<float>(cos),
                                      .sin = values_of<float>(sin),
                                      .positions = values_of<std::int64_t>(positions_) + first,
                                      .rows = static_cast<std::size_t>(rows),
                                      .heads = heads,
                                      .size = size});
        });
        packed_attention(qkv.view({rows_, 3, config.heads, config.head_size()}), starts_, config.causal, mixed,
                         state.levels);
        multiply(delta, mixed, state.output_weight.t());
        NormParameters const ffn_norm{weights.ffn_norm_weight, weights.ffn_norm_bias};
        add_and_normalise<Value>(rows_of(state.first), delta, weights.output_bias, rows_of(state.middle), &ffn_norm,
                                 config.norm_epsilon, rows_of(state.ffn_normed));
        multiply(up, rows_of(state.ffn_normed), state.up_weight.t());
        for_chunks(rows_, [&](std::size_t, std::int64_t first, std::int64_t rows) {
            gelu_rows(gelu_work<Value>(up, weights.up_bias, wide, first, rows));
        });
        multiply(delta, wide, state.down_weight.t());
        if (index + 1 == layers_.size())
            add_and_normalise<Value>(rows_of(state.middle), delta, weights.down_bias, rows_of(last_), nullptr, 0, {});
    });
}

void TrainingPass::backward(at::Tensor const& places, at::Tensor const& gradient) {
    at::NoGradGuard const no_gradients;
    at::Tensor const stream = rows_of(stream_);
    at::Tensor{stream}.zero_().index_add_(0, places, gradient);
    rows_of(lowered_).copy_(stream);
    add_bias_gradient(layer(layers_.size() - 1).down_bias, stream);
    for (std::size_t i = layers_.size(); i > 0; --i) backward_layer(i - 1);
    add_embedding_gradient(model_->embedding(), token_ids_, stream, tokens_);
}

void TrainingPass::backward_layer(std::size_t index) {
    backward_feed_forward(index);
    backward_attention(index);
}

void TrainingPass::backward_feed_forward(std::size_t index) {
    auto const& state = layers_[index];
    auto const& weights = layer(index);
    at::Tensor const lowered = rows_of(lowered_), up = rows_of(state.up), gated = rows_of(gated_),
                     wide = rows_of(wide_), narrow = rows_of(narrow_);
    multiply(gated, lowered, state.down_weight);
    ColumnSums sums{1, up.size(1)};
    for_type(up.scalar_type(), [&](auto value) {
        using Value = decltype(value);
        for_chunks(rows_, [&](std::size_t chunk, std::int64_t first, std::int64_t rows) {
            gelu_gradient(GeluGradientRows<Value>{.forward = gelu_work<Value>(up, weights.up_bias, wide, first, rows),
                                                  .gradient = places_of<Value>(gated) +
                                                              static_cast<std::size_t>(first) * width_of(up),
                                                  .sums = sums.of(chunk, 0)});
        });
    });
    sums.add_to(0, weights.up_bias.grad());
    add_weight_gradient(weights.down_weight, lowered, wide);
    multiply(narrow, gated, state.up_weight);
    add_weight_gradient(weights.up_weight, gated, rows_of(state.ffn_normed));
    backward_norm(rows_of(state.middle), {weights.ffn_norm_weight, weights.ffn_norm_bias},
                  model_->config().norm_epsilon, narrow, rows_of(stream_), lowered, weights.output_bias);
}

void TrainingPass::backward_attention(std::size_t index) {
    auto const& state = layers_[index];
    auto const& weights = layer(index);
    auto const& config = model_->config();
    auto const [cos, sin] = model_->rotary();
    at::Tensor const lowered = rows_of(lowered_), narrow = rows_of(narrow_), qkv = rows_of(qkv_),
                     mixed = rows_of(state.mixed);
    multiply(narrow, lowered, state.output_weight);
    add_weight_gradient(weights.output_weight, lowered, mixed);
    std::vector<std::int64_t> const shape{rows_, 3, config.heads, config.head_size()};
    attention_gradient({.qkv = rows_of(state.qkv).view(shape),
                        .out = mixed,
                        .levels = state.levels,
                        .gradient = narrow,
                        .cos = cos,
                        .sin = sin,
                        .causal = config.causal},
                       starts_, qkv.view(shape));
    add_bias_gradient(weights.qkv_bias, qkv);
    multiply(narrow, qkv, state.qkv_weight);
    add_weight_gradient(weights.qkv_weight, qkv, rows_of(state.normed));
    backward_norm(rows_of(state.first), {weights.norm_weight, weights.norm_bias}, config.norm_epsilon, narrow,
                  rows_of(stream_), lowered, index > 0 ? layer(index - 1).down_bias : at::Tensor{});
}

} // namespace tape
