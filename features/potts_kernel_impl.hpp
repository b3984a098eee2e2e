// Included by one source file per instruction set, which first names the function (`#define TAPE_POTTS_KERNELS ...`).
// Nothing of the standard library is used here: the linker keeps one copy of an inline function, possibly that of an
// instruction set this machine does not have.
#include "features/potts_kernel.hpp"

namespace tape {
namespace {

constexpr int lanes = 8, vectors = potts_stride / lanes;
using Vector = float __attribute__((vector_size(lanes * sizeof(float))));
using Integers = std::int32_t __attribute__((vector_size(lanes * sizeof(float))));
using Unaligned = float __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));

/// One row of states.
struct Row {
    Vector v[vectors];
};

inline void load(float const* from, Row& row) {
    for (int k = 0; k < vectors; ++k) row.v[k] = *reinterpret_cast<Unaligned const*>(from + lanes * k);
}

inline void store(Row const& row, float* to) {
    for (int k = 0; k < vectors; ++k) *reinterpret_cast<Unaligned*>(to + lanes * k) = row.v[k];
}

inline void add(float const* from, Row& row) {
    for (int k = 0; k < vectors; ++k) row.v[k] += *reinterpret_cast<Unaligned const*>(from + lanes * k);
}

inline double sum(Row const& row) {
    Vector const total = row.v[0] + row.v[1] + row.v[2];
    return static_cast<double>(((total[0] + total[4]) + (total[1] + total[5])) +
                               ((total[2] + total[6]) + (total[3] + total[7])));
}

inline float largest(Row const& row) {
    Vector top = row.v[0] > row.v[1] ? row.v[0] : row.v[1];
    top = top > row.v[2] ? top : row.v[2];
    float result = top[0];
    for (int k = 1; k < lanes; ++k) result = top[k] > result ? top[k] : result;
    return result;
}

/// e^x for x <= 0 to 2e-7 relative, 0 below -87: x = n log 2 + r, a Taylor polynomial of r (|r| <= log 2 / 2), and n
/// put into the exponent.
inline void exponentials(Row& row) {
    constexpr float round = 12582912.f; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    for (int k = 0; k < vectors; ++k) {
        Vector const x = row.v[k];
        Vector const shifted = x * 1.44269504f + round, n = shifted - round;
        Vector const r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
        Vector p = r * (1.f / 720) + 1.f / 120;
        p = p * r + 1.f / 24;
        p = p * r + 1.f / 6;
        p = p * r + 0.5f;
        p = (p * r + 1.f) * r + 1.f;
        Integers const exponent = __builtin_convertvector(n, Integers) << 23;
        Vector const value = reinterpret_cast<Vector>(reinterpret_cast<Integers>(p) + exponent);
        row.v[k] = x > -87.f ? value : Vector{};
    }
}

inline std::ptrdiff_t columns_of(PottsRows const& rows, std::ptrdiff_t first) {
    return first + potts_tile < rows.length ? potts_tile : rows.length - first;
}

void fields(PottsRows const& rows, float const* parameters, float* field) {
    for (std::ptrdiff_t k = 0; k < rows.rows * potts_stride; ++k) field[k] = 0;
    std::uint16_t const* offsets = rows.offsets;
    for (std::ptrdiff_t first = 0; first < rows.length; first += potts_tile) {
        float const* tile = parameters + first * potts_states * potts_stride;
        std::ptrdiff_t const columns = columns_of(rows, first);
        for (std::ptrdiff_t n = 0; n < rows.rows; ++n, offsets += potts_tile) {
            Row row;
            load(field + n * potts_stride, row);
            for (std::ptrdiff_t c = 0; c < columns; ++c) add(tile + offsets[c], row);
            store(row, field + n * potts_stride);
        }
    }
}

void gradient(PottsRows const& rows, float const* residual, float* result) {
    std::uint16_t const* offsets = rows.offsets;
    for (std::ptrdiff_t first = 0; first < rows.length; first += potts_tile) {
        float* tile = result + first * potts_states * potts_stride;
        std::ptrdiff_t const columns = columns_of(rows, first);
        for (std::ptrdiff_t n = 0; n < rows.rows; ++n, offsets += potts_tile) {
            Row row;
            load(residual + n * potts_stride, row);
            for (std::ptrdiff_t c = 0; c < columns; ++c) {
                Row target = row;
                add(tile + offsets[c], target);
                store(target, tile + offsets[c]);
            }
        }
    }
}

PottsSlope residuals(PottsRows const& rows, std::uint8_t const* own, float const* field, float const* direction,
                     float step, float* residual) {
    Row padding{}; // far below every field, so that the last three lanes get probability 0
    for (int k = potts_states; k < potts_stride; ++k) padding.v[k / lanes][k % lanes] = -1e30f;
    PottsSlope result{0, 0};
    for (std::ptrdiff_t n = 0; n < rows.rows; ++n) {
        Row p, d;
        load(field + n * potts_stride, p);
        load(direction + n * potts_stride, d);
        for (int k = 0; k < vectors; ++k) p.v[k] += d.v[k] * step + padding.v[k];
        float const top = largest(p);
        for (int k = 0; k < vectors; ++k) p.v[k] -= top;
        exponentials(p);
        float const weight = rows.weights[n], scale = weight / static_cast<float>(sum(p));
        Row first, second;
        for (int k = 0; k < vectors; ++k) {
            p.v[k] *= scale;
            first.v[k] = p.v[k] * d.v[k];
            second.v[k] = first.v[k] * d.v[k];
        }
        double const mean = sum(first);
        result.slope += mean - static_cast<double>(weight * direction[n * potts_stride + own[n]]);
        result.curvature += sum(second) - mean * mean / static_cast<double>(weight);
        store(p, residual + n * potts_stride);
        residual[n * potts_stride + own[n]] -= weight;
    }
    return result;
}

} // namespace

PottsKernels TAPE_POTTS_KERNELS() { return {fields, residuals, gradient}; }

} // namespace tape
