#include "learn/training_kernels.hpp"

#include "learn/vector_lanes.hpp"

#include <algorithm>
#include <cmath>

namespace tape {
namespace {

using namespace lanes_of_rows;

template <typename Value>
TAPE_INLINE void turn_token(Value* head, float const* bias, float const* cos, float const* sin, std::size_t half) {
    for (std::size_t i = 0; i < half; ++i) {
        float const a = to_float(head[i]) + bias[i], b = to_float(head[i + half]) + bias[i + half];
        head[i] = rounded<Value>(a * cos[i] - b * sin[i]);
        head[i + half] = rounded<Value>(b * cos[i] + a * sin[i]);
    }
}

template <typename Value> TAPE_INLINE void turn_all_rows(TurnRows<Value> const& work) {
    std::size_t const half = work.size / 2, width = work.heads * work.size;
    for (std::size_t row = 0; row < work.rows; ++row) {
        Value* const token = work.qkv + row * 3 * width;
        auto const place = static_cast<std::size_t>(work.positions[row]) * half;
        for (std::size_t head = 0; head < 2 * work.heads; ++head)
            turn_token(token + head * work.size, work.bias + head * work.size, work.cos + place, work.sin + place,
                       half);
        Value* const values = token + 2 * width;
        float const* const bias = work.bias + 2 * width;
        for (std::size_t i = 0; i < width; ++i) values[i] = rounded<Value>(to_float(values[i]) + bias[i]);
    }
}

template <typename Value> TAPE_INLINE void turn_rows_back(TurnBack const& head, Value* out) {
    std::size_t const half = head.size / 2;
    for (std::size_t row = 0; row < head.rows; ++row) {
        float const* const in = head.in + row * head.size;
        Value* const to = out + row * head.out_stride;
        if (head.cos == nullptr) {
            for (std::size_t i = 0; i < head.size; ++i) to[i] = rounded<Value>(in[i] * head.scale);
            continue;
        }
        float const *const cos = head.cos + row * half, *const sin = head.sin + row * half;
        for (std::size_t i = 0; i < half; ++i) {
            float const a = in[i] * head.scale, b = in[i + half] * head.scale;
            to[i] = rounded<Value>(a * cos[i] + b * sin[i]);
            to[i + half] = rounded<Value>(b * cos[i] - a * sin[i]);
        }
    }
}

TAPE_INLINE Floats plus(Floats const& a, Floats const& b) { return a + b; }
TAPE_INLINE float sum_of(Floats const& value) { return folded(value, plus); }

struct Moments {
    float mean, scale; ///< scale: 1 / standard deviation
};
TAPE_INLINE Moments moments_of(float const* x, std::size_t width, double epsilon) {
    auto const share = 1.0F / static_cast<float>(width);
    Floats sums{}, squares{}, value;
    std::size_t const even = width / lanes * lanes;
    float sum = 0, square = 0;
    for (std::size_t k = 0; k < even; k += lanes) load(value, x + k), sums += value;
    for (std::size_t k = even; k < width; ++k) sum += x[k];
    float const mean = (sum_of(sums) + sum) * share;
    for (std::size_t k = 0; k < even; k += lanes) load(value, x + k), value -= mean, squares += value * value;
    for (std::size_t k = even; k < width; ++k) square += (x[k] - mean) * (x[k] - mean);
    float const variance = (sum_of(squares) + square) * share;
    return {mean, static_cast<float>(1.0 / std::sqrt(static_cast<double>(variance) + epsilon))};
}

template <typename Value> TAPE_INLINE void add_and_normalise_all(SumRows<Value> const& work) {
    std::size_t const width = work.width;
    for (std::size_t row = 0; row < work.rows; ++row) {
        float const* const x = work.x + row * width;
        float* const sum = work.sum + row * width;
        if (work.delta != nullptr) {
            Value const* const delta = work.delta + row * width;
            for (std::size_t k = 0; k < width; ++k) sum[k] = x[k] + to_float(delta[k]) + work.delta_bias[k];
        }
        if (work.weight == nullptr) continue;
        float const* const from = work.delta != nullptr ? sum : x;
        Value* const normed = work.normed + row * width;
        auto const [mean, scale] = moments_of(from, width, work.epsilon);
        for (std::size_t k = 0; k < width; ++k)
            normed[k] = rounded<Value>((from[k] - mean) * scale * work.weight[k] + work.bias[k]);
    }
}

template <typename Value> TAPE_INLINE void norm_gradient_of_rows(NormGradientRows<Value> const& work) {
    std::size_t const width = work.width;
    auto const share = 1.0F / static_cast<float>(width);
    for (std::size_t row = 0; row < work.rows; ++row) {
        float const* const x = work.x + row * width;
        Value const* const gradient = work.gradient + row * width;
        float* const stream = work.stream + row * width;
        Value* const lowered = work.lowered + row * width;
        auto const [mean, scale] = moments_of(x, width, work.epsilon);
        Floats sums{}, products{}, value, change, weight, total;
        for (std::size_t k = 0; k < width; k += lanes) {
            std::size_t const count = std::min(lanes, width - k);
            load_some(value, x + k, count), load_some(change, gradient + k, count),
                load_some(weight, work.weight + k, count);
            value = (value - mean) * scale; // what stands behind the row has no gradient
            Floats const weighted = change * weight;
            sums += weighted, products += weighted * value;
            load_some(total, work.weight_gradient + k, count);
            total += change * value, store_some(work.weight_gradient + k, total, count);
            load_some(total, work.bias_gradient + k, count);
            total += change, store_some(work.bias_gradient + k, total, count);
        }
        float const mean_gradient = sum_of(sums) * share, mean_product = sum_of(products) * share;
        for (std::size_t k = 0; k < width; k += lanes) {
            std::size_t const count = std::min(lanes, width - k);
            load_some(value, x + k, count), load_some(change, gradient + k, count),
                load_some(weight, work.weight + k, count);
            value = (value - mean) * scale;
            load_some(total, stream + k, count);
            total += (change * weight - mean_gradient - value * mean_product) * scale;
            store_some(stream + k, total, count), store_some(lowered + k, total, count);
            load_some(value, work.stream_sums + k, count);
            value += total, store_some(work.stream_sums + k, value, count);
        }
    }
}

struct Gelu {
    Floats probability, density; ///< of the normal distribution
};
TAPE_INLINE Gelu gelu_of(Floats const& u) {
    constexpr float sqrt_half = 0.70710678F, half_log2e = 0.72134752F, density_at_zero = 0.39894228F;
    Floats const magnitude = u < 0.0F ? -u : u;
    Floats power = u * u * -half_log2e;
    WeightOf<false>{0.0F}(power); // e^(-u^2 / 2)
    Floats const t = 1.0F / (1.0F + 0.3275911F * sqrt_half * magnitude);
    Floats const series =
        t * (0.254829592F + t * (-0.284496736F + t * (1.421413741F + t * (-1.453152027F + t * 1.061405429F))));
    Floats const tail = 0.5F * series * power;
    return {u < 0.0F ? tail : 1.0F - tail, power * density_at_zero};
}

template <typename Value> TAPE_INLINE void gelu_of_rows(GeluRows<Value> const& work) {
    for (std::size_t row = 0; row < work.rows; ++row)
        for (std::size_t k = 0; k < work.width; k += lanes) {
            std::size_t const count = std::min(lanes, work.width - k), place = row * work.width + k;
            Floats u, bias;
            load_some(u, work.in + place, count), load_some(bias, work.bias + k, count);
            u += bias;
            Floats const result = u * gelu_of(u).probability;
            store_some(work.out + place, result, count);
        }
}

template <typename Value> TAPE_INLINE void gelu_gradient_of_rows(GeluGradientRows<Value> const& work) {
    auto const& forward = work.forward;
    for (std::size_t row = 0; row < forward.rows; ++row)
        for (std::size_t k = 0; k < forward.width; k += lanes) {
            std::size_t const count = std::min(lanes, forward.width - k), place = row * forward.width + k;
            Floats u, bias, change, total;
            load_some(u, forward.in + place, count), load_some(bias, forward.bias + k, count);
            load_some(change, work.gradient + place, count), load_some(total, work.sums + k, count);
            u += bias;
            Gelu const gelu = gelu_of(u);
            Floats const result = u * gelu.probability;
            change *= gelu.probability + u * gelu.density;
            total += change;
            store_some(forward.out + place, result, count);
            store_some(work.gradient + place, change, count);
            store_some(work.sums + k, total, count);
        }
}

template <typename Value>
TAPE_INLINE void add_columns(Value const* in, std::size_t rows, std::size_t width, float* sums) {
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t k = 0; k < width; ++k) sums[k] += to_float(in[row * width + k]);
}

/// Weights of 16 scores, and the gradient of the scores.
TAPE_INLINE void score_gradient(float const* scores, float const* products, float level, float dot, Floats& weight,
                                Floats& gradient) {
    load(weight, scores), load(gradient, products);
    weight -= level;
    weight = weight < 0.0F ? weight : Floats{}; // scores of no key, which nobody reads, may lie above
    WeightOf<false>{0.0F}(weight);
    gradient = weight * (gradient - dot);
}

/// Two values of bfloat16 in each word, the first in its lower half.
TAPE_INLINE Words paired(Floats const& first, Floats const& second) {
    Words const low = (__builtin_bit_cast(Words, first) + 0x8000U) >> 16U;
    Words const high = (__builtin_bit_cast(Words, second) + 0x8000U) & 0xffff0000U;
    return low | high;
}

TAPE_INLINE void attention_gradient_of_rows(AttentionGradientRows const& work) {
    for (std::size_t row = 0; row < work.rows; row += 2) {
        std::size_t const first = row * work.stride, second = first + work.stride;
        for (std::size_t j = 0; j < work.padded; j += lanes) {
            Floats weight[2], gradient[2];
            score_gradient(work.scores + first + j, work.products + first + j, work.level[row], work.dot[row],
                           weight[0], gradient[0]);
            score_gradient(work.scores + second + j, work.products + second + j, work.level[row + 1], work.dot[row + 1],
                           weight[1], gradient[1]);
            if (work.gradient == nullptr) {
                store(work.scores + first + j, weight[0]), store(work.scores + second + j, weight[1]);
                store(work.products + first + j, gradient[0]), store(work.products + second + j, gradient[1]);
                continue;
            }
            store(work.gradient + first + j, gradient[0]), store(work.gradient + second + j, gradient[1]);
            Words const weights = paired(weight[0], weight[1]), gradients = paired(gradient[0], gradient[1]);
            std::memcpy(work.weight_pairs + first + 2 * j, &weights, sizeof weights);
            std::memcpy(work.gradient_pairs + first + 2 * j, &gradients, sizeof gradients);
        }
    }
}

TAPE_KERNEL(turn, turn_all_rows, (TurnRows<float> const& work), (work))
TAPE_KERNEL(turn, turn_all_rows, (TurnRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(turn_back, turn_rows_back, (TurnBack const& head, float* out), (head, out))
TAPE_KERNEL(turn_back, turn_rows_back, (TurnBack const& head, BFloat16Bits* out), (head, out))
TAPE_KERNEL(sum, add_and_normalise_all, (SumRows<float> const& work), (work))
TAPE_KERNEL(sum, add_and_normalise_all, (SumRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(norm_gradient, norm_gradient_of_rows, (NormGradientRows<float> const& work), (work))
TAPE_KERNEL(norm_gradient, norm_gradient_of_rows, (NormGradientRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(gelu, gelu_of_rows, (GeluRows<float> const& work), (work))
TAPE_KERNEL(gelu, gelu_of_rows, (GeluRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(gelu_gradient, gelu_gradient_of_rows, (GeluGradientRows<float> const& work), (work))
TAPE_KERNEL(gelu_gradient, gelu_gradient_of_rows, (GeluGradientRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(columns, add_columns, (float const* in, std::size_t rows, std::size_t width, float* sums),
            (in, rows, width, sums))
TAPE_KERNEL(columns, add_columns, (BFloat16Bits const* in, std::size_t rows, std::size_t width, float* sums),
            (in, rows, width, sums))
TAPE_KERNEL(attention_gradient, attention_gradient_of_rows, (AttentionGradientRows const& work), (work))

} // namespace

void turn_rows(TurnRows<float> const& work) { turn_chosen(work); }
void turn_rows(TurnRows<BFloat16Bits> const& work) { turn_chosen(work); }
void turn_back(TurnBack const& head, float* out) { turn_back_chosen(head, out); }
void turn_back(TurnBack const& head, BFloat16Bits* out) { turn_back_chosen(head, out); }
void add_rows_and_normalise(SumRows<float> const& work) { sum_chosen(work); }
void add_rows_and_normalise(SumRows<BFloat16Bits> const& work) { sum_chosen(work); }
void norm_gradient(NormGradientRows<float> const& work) { norm_gradient_chosen(work); }
void norm_gradient(NormGradientRows<BFloat16Bits> const& work) { norm_gradient_chosen(work); }
void gelu_rows(GeluRows<float> const& work) { gelu_chosen(work); }
void gelu_rows(GeluRows<BFloat16Bits> const& work) { gelu_chosen(work); }
void gelu_gradient(GeluGradientRows<float> const& work) { gelu_gradient_chosen(work); }
void gelu_gradient(GeluGradientRows<BFloat16Bits> const& work) { gelu_gradient_chosen(work); }
void add_column_sums(float const* in, std::size_t rows, std::size_t width, float* sums) {
    columns_chosen(in, rows, width, sums);
}
void add_column_sums(BFloat16Bits const* in, std::size_t rows, std::size_t width, float* sums) {
    columns_chosen(in, rows, width, sums);
}
void attention_gradient(AttentionGradientRows const& work) { attention_gradient_chosen(work); }

void transpose_rows(BFloat16Bits const* in, std::size_t stride, std::size_t rows, std::size_t size, BFloat16Bits* out,
                    std::size_t out_stride) {
    for (std::size_t i = 0; i < size; ++i)
        for (std::size_t row = 0; row < rows; ++row) out[i * out_stride + row] = in[row * stride + i];
}

} // namespace tape
