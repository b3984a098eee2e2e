#include "learn/row_kernels.hpp"

#include "learn/vector_lanes.hpp"

#include <algorithm>
#include <cmath>

namespace tape {
namespace {

using namespace lanes_of_rows;

TAPE_INLINE Floats larger(Floats const& a, Floats const& b) { return a > b ? a : b; }

TAPE_INLINE float largest(float const* values, std::size_t count, float start) {
    Floats const floor = Floats{} + start;
    Floats a = floor, b = floor, c = floor, d = floor; // several at a time hide the latency of each
    Floats next;
    std::size_t j = 0;
    for (; j + 4 * lanes <= count; j += 4 * lanes) {
        load(next, values + j), a = larger(a, next);
        load(next, values + j + lanes), b = larger(b, next);
        load(next, values + j + 2 * lanes), c = larger(c, next);
        load(next, values + j + 3 * lanes), d = larger(d, next);
    }
    for (; j < count; j += 2 * lanes) {
        load(next, values + j), a = larger(a, next);
        load(next, values + j + lanes), b = larger(b, next);
    }
    return folded(larger(larger(a, b), larger(c, d)), [](Floats const& x, Floats const& y) { return larger(x, y); });
}

/// Scores behind `count` become lowest_peak.
TAPE_INLINE void close_row(float* scores, std::size_t count, std::size_t padded) {
    Integers const places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (std::size_t j = padded - 2 * lanes; j < padded; j += lanes) {
        Floats value;
        load(value, scores + j);
        Integers const inside = places < Integers{} + (static_cast<std::int32_t>(count) - static_cast<std::int32_t>(j));
        value = inside ? value : Floats{} + lowest_peak;
        store(scores + j, value);
    }
}

template <typename Weight> TAPE_INLINE void exponentiate_rows(SoftmaxBlock<Weight> const& block) {
    constexpr bool coarse = std::same_as<Weight, BFloat16Bits>;
    std::size_t const rows = block.rows, count = block.count, padded = block.padded;
    for (std::size_t row = 0; row < rows; ++row) {
        float* const scores = block.scores + row * block.score_stride;
        if (count < padded) close_row(scores, count, padded);
        float const before = block.peak[row], peak = std::ceil(largest(scores, padded, before));
        block.rescale[row] = before > lowest_peak ? std::exp2(before - peak) : 0.0F;
        block.peak[row] = peak;
    }
    for (std::size_t row = 0; row < rows; ++row) {
        float const* const scores = block.scores + row * block.score_stride;
        Weight* const weights = block.weights + row * block.weight_stride;
        WeightOf<coarse> const weight_of{block.peak[row]};
        Floats even{}, odd{};
        for (std::size_t j = 0; j < padded; j += 2 * lanes) {
            Floats value;
            load(value, scores + j);
            weight_of(value), even += value, store(weights + j, value);
            load(value, scores + j + lanes);
            weight_of(value), odd += value, store(weights + j + lanes, value);
        }
        float const sum = folded(even + odd, [](Floats const& x, Floats const& y) { return x + y; });
        block.sum[row] = block.sum[row] * block.rescale[row] + sum;
    }
}

template <typename Value> TAPE_INLINE void add_and_normalise_rows(NormRows<Value> const& work) {
    std::size_t const width = work.width, even = width / lanes * lanes;
    auto const share = 1.0F / static_cast<float>(width);
    auto const plus = [](Floats const& a, Floats const& b) { return a + b; };
    for (std::size_t row = 0; row < work.rows; ++row) {
        float* const x = work.x + row * width;
        Value* const normed = work.normed + row * width;
        Floats sums{}, value;
        float sum = 0;
        if (work.delta) {
            Value const* const delta = work.delta + row * width;
            Floats change;
            for (std::size_t k = 0; k < even; k += lanes) {
                load(value, x + k), load(change, delta + k);
                value += change, sums += value, store(x + k, value);
            }
            for (std::size_t k = even; k < width; ++k) sum += x[k] += to_float(delta[k]);
        } else {
            for (std::size_t k = 0; k < even; k += lanes) load(value, x + k), sums += value;
            for (std::size_t k = even; k < width; ++k) sum += x[k];
        }
        float const mean = (sum + folded(sums, plus)) * share;
        Floats squares{};
        float square = 0;
        for (std::size_t k = 0; k < even; k += lanes) load(value, x + k), value -= mean, squares += value * value;
        for (std::size_t k = even; k < width; ++k) square += (x[k] - mean) * (x[k] - mean);
        square = (square + folded(squares, plus)) * share;
        auto const scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(square) + work.epsilon));
        if (work.replace) {
            for (std::size_t k = 0; k < width; ++k) {
                x[k] = (x[k] - mean) * scale * work.weight[k] + work.bias[k];
                normed[k] = rounded<Value>(x[k]);
            }
        } else {
            for (std::size_t k = 0; k < width; ++k)
                normed[k] = rounded<Value>((x[k] - mean) * scale * work.weight[k] + work.bias[k]);
        }
    }
}

/// 1 / (1 + e^-x) within 3e-7.
TAPE_INLINE Floats sigmoid(Floats x) {
    constexpr float steepest = 86.0F; // e^-x stays finite
    x = x > steepest ? Floats{} + steepest : x;
    x = x < -steepest ? Floats{} - steepest : x;
    Floats power = x * -1.4426950408889634F;
    WeightOf<false>{0}(power);
    return 1.0F / (1.0F + power);
}

/// Absolute error 6e-7.
TAPE_INLINE Floats hyperbolic_tangent(Floats const& x) { return 2.0F * sigmoid(2.0F * x) - 1.0F; }

template <typename Value>
TAPE_INLINE void step_gates_of(Value const* product, float const* input, float const* cell, float* next_cell,
                               float* hidden, std::size_t units) {
    Floats gates[4];
    for (std::size_t gate = 0; gate < 4; ++gate) {
        Floats change;
        load(gates[gate], input + gate * units), load(change, product + gate * units);
        gates[gate] += change;
    }
    Floats old;
    load(old, cell);
    Floats const next = sigmoid(gates[1]) * old + sigmoid(gates[0]) * hyperbolic_tangent(gates[3]);
    store(next_cell, next);
    store(hidden, sigmoid(gates[2]) * hyperbolic_tangent(next));
}

template <typename Value> TAPE_INLINE void step_gate_rows(GateRows<Value> const& gates) {
    std::size_t const units = gates.units;
    for (std::size_t row = 0; row < gates.rows; ++row) {
        Value const* const product = gates.product + row * 4 * units;
        float const *const input = gates.input[row], *const cell = gates.cell[row];
        float *const next_cell = gates.next_cell + row * units, *const hidden = gates.hidden + row * units;
        std::size_t k = 0;
        for (; k + lanes <= units; k += lanes)
            step_gates_of(product + k, input + k, cell + k, next_cell + k, hidden + k, units);
        if (k == units) continue;
        // The last units through full registers.
        std::size_t const left = units - k;
        Value products[4 * lanes] = {};
        float inputs[4 * lanes] = {}, cells[lanes] = {}, next[lanes], states[lanes];
        for (std::size_t gate = 0; gate < 4; ++gate)
            for (std::size_t i = 0; i < left; ++i) {
                products[gate * lanes + i] = product[gate * units + k + i];
                inputs[gate * lanes + i] = input[gate * units + k + i];
            }
        for (std::size_t i = 0; i < left; ++i) cells[i] = cell[k + i];
        step_gates_of(products, inputs, cells, next, states, lanes);
        for (std::size_t i = 0; i < left; ++i) next_cell[k + i] = next[i], hidden[k + i] = states[i];
    }
}

using Quad = float __attribute__((vector_size(16))); // heads are small: half of one is 8 floats in ESM-2 8M
using WordQuad = std::uint32_t __attribute__((vector_size(16)));
using HalfQuad = std::uint16_t __attribute__((vector_size(8)));

TAPE_INLINE void load(Quad& to, float const* from) { std::memcpy(&to, from, sizeof to); }
TAPE_INLINE void load(Quad& to, BFloat16Bits const* from) {
    HalfQuad halves;
    std::memcpy(&halves, from, sizeof halves);
    WordQuad const bits = __builtin_convertvector(halves, WordQuad) << 16U;
    to = __builtin_bit_cast(Quad, bits);
}
TAPE_INLINE void store(float* to, Quad const& value) { std::memcpy(to, &value, sizeof value); }
TAPE_INLINE void store(BFloat16Bits* to, Quad const& value) {
    WordQuad const bits = __builtin_bit_cast(WordQuad, value);
    HalfQuad const halves = __builtin_convertvector((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U, HalfQuad);
    std::memcpy(to, &halves, sizeof halves);
}

template <typename Value>
TAPE_INLINE void turn_row(Value const* in, Value* to, float const* cos, float const* sin, float scale,
                          std::size_t half) {
    std::size_t i = 0;
    for (; i + 4 <= half; i += 4) {
        Quad a, b, c, s;
        load(a, in + i), load(b, in + i + half), load(c, cos + i), load(s, sin + i);
        Quad const first = (a * c - b * s) * scale, second = (b * c + a * s) * scale;
        store(to + i, first), store(to + i + half, second);
    }
    for (; i < half; ++i) {
        float const a = to_float(in[i]), b = to_float(in[i + half]);
        to[i] = rounded<Value>((a * cos[i] - b * sin[i]) * scale);
        to[i + half] = rounded<Value>((b * cos[i] + a * sin[i]) * scale);
    }
}

template <typename Value> TAPE_INLINE void copy_head_rows(HeadRows<Value> const& head, Value* out) {
    std::size_t const half = head.size / 2;
    for (std::size_t row = 0; row < head.rows; ++row) {
        Value const* const in = head.in + row * head.stride;
        Value* const to = out + row * head.size;
        if (head.cos != nullptr)
            turn_row(in, to, head.cos + row * half, head.sin + row * half, head.scale, half);
        else if (head.scale == 1)
            std::memcpy(to, in, head.size * sizeof(Value));
        else
            for (std::size_t i = 0; i < head.size; ++i) to[i] = rounded<Value>(to_float(in[i]) * head.scale);
    }
}

template <typename Value>
TAPE_INLINE void divided_rows(float const* in, float const* sum, std::size_t rows, std::size_t size, Value* out,
                              std::size_t out_stride) {
    for (std::size_t row = 0; row < rows; ++row) {
        float const share = 1.0F / sum[row];
        for (std::size_t i = 0; i < size; ++i) out[row * out_stride + i] = rounded<Value>(in[row * size + i] * share);
    }
}

TAPE_KERNEL(exponentiate, exponentiate_rows, (SoftmaxBlock<float> const& block), (block))
TAPE_KERNEL(exponentiate, exponentiate_rows, (SoftmaxBlock<BFloat16Bits> const& block), (block))
TAPE_KERNEL(normalise, add_and_normalise_rows, (NormRows<float> const& work), (work))
TAPE_KERNEL(normalise, add_and_normalise_rows, (NormRows<BFloat16Bits> const& work), (work))
TAPE_KERNEL(step_gates, step_gate_rows, (GateRows<float> const& gates), (gates))
TAPE_KERNEL(step_gates, step_gate_rows, (GateRows<BFloat16Bits> const& gates), (gates))
TAPE_KERNEL(copy_head, copy_head_rows, (HeadRows<float> const& head, float* out), (head, out))
TAPE_KERNEL(copy_head, copy_head_rows, (HeadRows<BFloat16Bits> const& head, BFloat16Bits* out), (head, out))
TAPE_KERNEL(divide, divided_rows,
            (float const* in, float const* sum, std::size_t rows, std::size_t size, float* out, std::size_t out_stride),
            (in, sum, rows, size, out, out_stride))
TAPE_KERNEL(divide, divided_rows,
            (float const* in, float const* sum, std::size_t rows, std::size_t size, BFloat16Bits* out,
             std::size_t out_stride),
            (in, sum, rows, size, out, out_stride))

} // namespace

void exponentiate(SoftmaxBlock<float> const& block) { exponentiate_chosen(block); }
void exponentiate(SoftmaxBlock<BFloat16Bits> const& block) { exponentiate_chosen(block); }
void add_and_normalise(NormRows<float> const& work) { normalise_chosen(work); }
void add_and_normalise(NormRows<BFloat16Bits> const& work) { normalise_chosen(work); }
void step_gates(GateRows<float> const& gates) { step_gates_chosen(gates); }
void step_gates(GateRows<BFloat16Bits> const& gates) { step_gates_chosen(gates); }
void copy_head(HeadRows<float> const& head, float* out) { copy_head_chosen(head, out); }
void copy_head(HeadRows<BFloat16Bits> const& head, BFloat16Bits* out) { copy_head_chosen(head, out); }

// Their time does not show (3% of attention), so they are compiled once.
void transpose_head(float const* in, std::size_t rows, std::size_t size, float* out, std::size_t stride) {
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < size; ++i) out[i * stride + row] = in[row * size + i];
}

void transpose_head(BFloat16Bits const* in, std::size_t rows, std::size_t size, BFloat16Bits* out, std::size_t stride) {
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < size; i += 2) std::memcpy(out + i * stride + 2 * row, in + row * size + i, 4);
}

void pair_rows(BFloat16Bits const* in, std::size_t stride, std::size_t rows, std::size_t size, BFloat16Bits* out) {
    for (std::size_t row = 0; row < rows; row += 2) {
        BFloat16Bits const *const first = in + row * stride, *const second = first + stride;
        BFloat16Bits* const to = out + row * size;
        bool const both = row + 1 < rows;
        for (std::size_t i = 0; i < size; ++i) to[2 * i] = first[i], to[2 * i + 1] = both ? second[i] : BFloat16Bits{0};
    }
}

void divide_rows(float const* in, float const* sum, std::size_t rows, std::size_t size, float* out,
                 std::size_t out_stride) {
    divide_chosen(in, sum, rows, size, out, out_stride);
}
void divide_rows(float const* in, float const* sum, std::size_t rows, std::size_t size, BFloat16Bits* out,
                 std::size_t out_stride) {
    divide_chosen(in, sum, rows, size, out, out_stride);
}

} // namespace tape
