#pragma once

#include "learn/row_kernels.hpp"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

// What row_kernels.cpp and training_kernels.cpp share; for no other file. Plain loops that the compiler turns into
// vector code; the flags that let it reorder sums are set in learn/CMakeLists.txt.
#define TAPE_INLINE inline __attribute__((always_inline))

namespace tape::lanes_of_rows {

TAPE_INLINE float to_float(float value) { return value; }
TAPE_INLINE float to_float(BFloat16Bits value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16U);
}

template <typename Value> TAPE_INLINE Value rounded(float value) {
    if constexpr (std::same_as<Value, float>) {
        return value;
    } else {
        auto const bits = std::bit_cast<std::uint32_t>(value);
        return static_cast<BFloat16Bits>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U); // to nearest, ties to even
    }
}

/// 2^f for -1/2 <= f <= 1/2: minimax polynomials, relative error 1e-4 and 2e-7.
template <bool coarse> TAPE_INLINE auto power_of_fraction(auto const& f) {
    if constexpr (coarse)
        return 0.99992806F + f * (0.69326097F + f * (0.24261111F + f * 0.055171669F));
    else
        return 1.0000001F +
               f * (0.69314694F + f * (0.24022120F + f * (0.055507131F + f * (0.0096755419F + f * 0.0013276471F))));
}

constexpr float to_integer = 12582912.0F; // 1.5 * 2^23: a float near it has its whole part in its lowest bits
constexpr float lowest_power = 126.0F;    // smaller weights are zero for all purposes
constexpr std::size_t lanes = 16;

// The compiler's vectors: one register of AVX-512, two of AVX2, four of SSE.
using Floats = float __attribute__((vector_size(4 * lanes)));
using Integers = std::int32_t __attribute__((vector_size(4 * lanes)));
using Words = std::uint32_t __attribute__((vector_size(4 * lanes)));
using Halves = std::uint16_t __attribute__((vector_size(2 * lanes)));

TAPE_INLINE void load(Floats& to, float const* from) { std::memcpy(&to, from, sizeof to); }
TAPE_INLINE void store(float* to, Floats const& value) { std::memcpy(to, &value, sizeof value); }
TAPE_INLINE void store(BFloat16Bits* to, Floats const& value) {
    // Half up (away from zero) differs from half to even in ties only.
    Words const bits = (__builtin_bit_cast(Words, value) + 0x8000U) >> 16U;
    Halves const halves = __builtin_convertvector(bits, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

/// 2^(score - peak) for a whole peak >= score - 1/2.
template <bool coarse> struct WeightOf {
    Floats shift, lowest;
    explicit TAPE_INLINE WeightOf(float peak)
        : shift{Floats{} + (to_integer - peak)}, lowest{Floats{} + (peak - lowest_power)} {}
    TAPE_INLINE void operator()(Floats& value) const {
        value = value > lowest ? value : lowest;
        Floats const whole = value + shift; // the compiler must not cancel the shift: no -fassociative-math here
        Floats const f = value - (whole - shift);
        Integers const exponent = __builtin_bit_cast(Integers, whole) << 23;
        Floats const power = power_of_fraction<coarse>(f);
        Integers const bits = __builtin_bit_cast(Integers, power) + exponent;
        value = __builtin_bit_cast(Floats, bits);
    }
};

/// All lanes as one.
TAPE_INLINE float folded(Floats value, auto const& operation) {
    value =
        operation(value, __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    value =
        operation(value, __builtin_shufflevector(value, value, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
    value =
        operation(value, __builtin_shufflevector(value, value, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    value =
        operation(value, __builtin_shufflevector(value, value, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
    return value[0];
}

TAPE_INLINE void load(Floats& to, BFloat16Bits const* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    Words const bits = __builtin_convertvector(halves, Words) << 16U;
    to = __builtin_bit_cast(Floats, bits);
}

/// The last values of a row may be fewer than a register's.
template <typename Value> TAPE_INLINE void load_some(Floats& to, Value const* from, std::size_t count) {
    if (count >= lanes) return load(to, from);
    to = Floats{};
    for (std::size_t i = 0; i < count; ++i) to[i] = to_float(from[i]);
}
template <typename Value> TAPE_INLINE void store_some(Value* to, Floats const& value, std::size_t count) {
    if (count >= lanes) return store(to, value);
    for (std::size_t i = 0; i < count; ++i) to[i] = rounded<Value>(value[i]);
}

#if defined(__x86_64__)
#define TAPE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")))
#define TAPE_AVX2 __attribute__((target("avx2,fma")))
enum class Level { plain, avx2, avx512 };
inline Level processor_level() {
    static Level const level = [] {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            return Level::avx512;
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Level::avx2 : Level::plain;
    }();
    return level;
}
/// NAME compiled for each level from ROWS, a function that is inlined into it.
#define TAPE_KERNEL(NAME, ROWS, PARAMETERS, ARGUMENTS)                                                                 \
    TAPE_AVX512 void NAME##_avx512 PARAMETERS { ROWS ARGUMENTS; }                                                      \
    TAPE_AVX2 void NAME##_avx2 PARAMETERS { ROWS ARGUMENTS; }                                                          \
    void NAME##_chosen PARAMETERS {                                                                                    \
        switch (processor_level()) {                                                                                   \
        case Level::avx512:                                                                                            \
            return NAME##_avx512 ARGUMENTS;                                                                            \
        case Level::avx2:                                                                                              \
            return NAME##_avx2 ARGUMENTS;                                                                              \
        case Level::plain:                                                                                             \
            return ROWS ARGUMENTS;                                                                                     \
        }                                                                                                              \
    }
#else
#define TAPE_KERNEL(NAME, ROWS, PARAMETERS, ARGUMENTS)                                                                 \
    void NAME##_chosen PARAMETERS { ROWS ARGUMENTS; }
#endif

} // namespace tape::lanes_of_rows
