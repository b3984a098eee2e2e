// Vector helpers shared by the scan and the gapped kernels. Included once per SIMD target (see hwy/foreach_target.h):
// no pragma once.
#if defined(TAPE_ALIGN_SIMD_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPE_ALIGN_SIMD_HPP
#undef TAPE_ALIGN_SIMD_HPP
#else
#define TAPE_ALIGN_SIMD_HPP
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Moves every lane up by one and puts `first`'s lowest lane in lane 0: the wrap-around of a striped query (Farrar,
/// Bioinformatics 23:156, 2007).
template <class D, class V = hn::Vec<D>> HWY_INLINE V shift_in(D d, V v, V first) {
#if HWY_TARGET == HWY_SCALAR
    (void)d, (void)v;
    return first;
#else
    using T = hn::TFromD<D>;
#if HWY_TARGET == HWY_AVX3_DL
    if constexpr (sizeof(T) == 1) {
        alignas(64) static constexpr struct Up {
            std::uint8_t lane[64]{};
            constexpr Up() {
                for (int i = 1; i < 64; ++i) lane[i] = static_cast<std::uint8_t>(i - 1);
            }
        } up;
        return V{_mm512_mask_permutexvar_epi8(first.raw, ~1ULL, _mm512_load_si512(&up), v.raw)};
    } else
#endif
    {
        // Blocks of 16 bytes move up by one, then bytes cross the block borders.
        hn::Repartition<std::uint32_t, D> const d32;
        alignas(64) static constexpr struct Up {
            std::int32_t lane[16]{};
            constexpr Up() {
                for (int i = 4; i < 16; ++i) lane[i] = i - 4;
            }
        } up;
        auto const blocks =
            hn::BitCast(d, hn::TableLookupLanes(hn::BitCast(d32, v), hn::SetTableIndices(d32, up.lane)));
        auto const moved = hn::CombineShiftRightBytes<16 - sizeof(T)>(d, v, blocks);
        return hn::IfThenElse(hn::FirstN(d, 1), first, moved);
    }
#endif
}

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
