#include "learn/amx_products.hpp"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#define TAPE_AMX __attribute__((target("amx-tile,amx-bf16,avx512f")))
#endif

namespace tape {
namespace {

constexpr std::size_t deepest = 32; // bfloat16 values that one step multiplies
constexpr std::size_t tile_rows = 16, tile_columns = 16;

} // namespace

#if defined(__x86_64__)

bool amx_takes(std::size_t head_size) {
    std::size_t const depth = std::min(head_size, deepest);
    return head_size >= tile_columns && head_size % 2 == 0 && head_size % depth == 0 &&
           __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-tile");
}

namespace {

// Tiles 0, 1: sums of queries 0-15 and 16-31. 2, 3: queries; 4: keys. 5, 6: weights; 7: values.
TAPE_AMX void lay_out_tiles(std::size_t head_size) {
    struct alignas(64) Palette {
        std::uint8_t palette = 1, start = 0, reserved[14] = {};
        std::uint16_t bytes[16] = {}; ///< of a row
        std::uint8_t rows[16] = {};
    } palette;
    auto const depth = static_cast<std::uint16_t>(std::min(head_size, deepest));
    for (std::size_t tile = 0; tile < 8; ++tile) palette.bytes[tile] = 64, palette.rows[tile] = tile_rows;
    palette.bytes[2] = palette.bytes[3] = static_cast<std::uint16_t>(2 * depth);
    palette.rows[4] = static_cast<std::uint8_t>(depth / 2);
    asm volatile("" : : "r"(&palette) : "memory"); // the intrinsic tells the compiler of the first bytes only
    _tile_loadconfig(&palette);
}

TAPE_AMX void release_tiles() { _tile_release(); }

} // namespace

AmxTiles::AmxTiles(std::size_t head_size) { lay_out_tiles(head_size); }

AmxTiles::~AmxTiles() { release_tiles(); }

TAPE_AMX void AmxTiles::scores(AmxHead const& head, float* scores) const {
    std::size_t const depth = std::min(head.size, deepest), query_bytes = 2 * head.size,
                      key_bytes = 4 * head.key_stride, score_bytes = 4 * head.block_stride;
    BFloat16Bits const* const second = head.queries + tile_rows * head.size;
    if (head.size == depth) { // the queries stay in their tiles
        _tile_loadd(2, head.queries, query_bytes);
        _tile_loadd(3, second, query_bytes);
        for (std::size_t key = 0; key < head.padded; key += tile_columns) {
            _tile_zero(0);
            _tile_zero(1);
            _tile_loadd(4, head.keys + 2 * key, key_bytes);
            _tile_dpbf16ps(0, 2, 4);
            _tile_dpbf16ps(1, 3, 4);
            _tile_stored(0, scores + key, score_bytes);
            _tile_stored(1, scores + tile_rows * head.block_stride + key, score_bytes);
        }
        return;
    }
    for (std::size_t key = 0; key < head.padded; key += tile_columns) {
        _tile_zero(0);
        _tile_zero(1);
        for (std::size_t k = 0; k < head.size; k += depth) {
            _tile_loadd(4, head.keys + k * head.key_stride + 2 * key, key_bytes);
            _tile_loadd(2, head.queries + k, query_bytes);
            _tile_loadd(3, second + k, query_bytes);
            _tile_dpbf16ps(0, 2, 4);
            _tile_dpbf16ps(1, 3, 4);
        }
        _tile_stored(0, scores + key, score_bytes);
        _tile_stored(1, scores + tile_rows * head.block_stride + key, score_bytes);
    }
}

TAPE_AMX void AmxTiles::mix(AmxHead const& head, BFloat16Bits const* weights, float* mixed) const {
    std::size_t const weight_bytes = 2 * head.block_stride, value_bytes = 4 * head.size;
    BFloat16Bits const* const second = weights + tile_rows * head.block_stride;
    for (std::size_t column = 0;; column = std::min(column + tile_columns, head.size - tile_columns)) {
        _tile_zero(0);
        _tile_zero(1);
        for (std::size_t key = 0; key < head.padded; key += deepest) {
            _tile_loadd(7, head.values + key * head.size + 2 * column, value_bytes);
            _tile_loadd(5, weights + key, weight_bytes);
            _tile_loadd(6, second + key, weight_bytes);
            _tile_dpbf16ps(0, 5, 7);
            _tile_dpbf16ps(1, 6, 7);
        }
        _tile_stored(0, mixed + column, value_bytes);
        _tile_stored(1, mixed + tile_rows * head.size + column, value_bytes);
        if (column + tile_columns == head.size) return; // the last ones may overlap, with the same values
    }
}

TAPE_AMX void AmxTiles::add_product(BFloat16Bits const* left, BFloat16Bits const* right, float* sums, std::size_t rows,
                                    std::size_t columns, std::size_t stride) const {
    std::size_t const bytes = 4 * stride;
    for (std::size_t row = 0; row < rows; row += tile_rows) {
        _tile_loadd(5, left + row * deepest, 2 * deepest);
        for (std::size_t column = 0; column < columns; column += tile_columns) {
            float* const to = sums + row * stride + column;
            _tile_loadd(0, to, bytes);
            _tile_loadd(7, right + 2 * column, bytes);
            _tile_dpbf16ps(0, 5, 7);
            _tile_stored(0, to, bytes);
        }
    }
}

#else

bool amx_takes(std::size_t) { return false; }
AmxTiles::AmxTiles(std::size_t) {}
AmxTiles::~AmxTiles() = default;
void AmxTiles::scores(AmxHead const&, float*) const {}
void AmxTiles::mix(AmxHead const&, BFloat16Bits const*, float*) const {}
void AmxTiles::add_product(BFloat16Bits const*, BFloat16Bits const*, float*, std::size_t, std::size_t,
                           std::size_t) const {}

#endif

} // namespace tape
