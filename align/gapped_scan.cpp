#include "align/gapped_scan.hpp"

#include "data/parallel.hpp"

#include <algorithm>
#include <cmath>

// Scalable vectors cannot be held in arrays; those machines take the NEON path.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#define HWY_WANT_AVX3_DL 1
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/gapped_scan.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>
// clang-format on

#ifndef TAPE_ALIGN_GAPPED_SCAN_QUERY
#define TAPE_ALIGN_GAPPED_SCAN_QUERY
namespace tape {

/// What a batch is compared with, in its own scale.
struct ScaledQuery {
    IntegerScores scores;    ///< the last column, code 31, lies beyond a target's end
    std::int8_t first, next; ///< costs of a gap's first residue and of each further one
};

} // namespace tape
#endif

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using ByteTag = hn::ScalableTag<std::int8_t>;
using Bytes = hn::Vec<ByteTag>;
constexpr std::size_t byte_lanes = hn::MaxLanes(ByteTag{});

constexpr std::int8_t nothing = -128; // a score of 0

std::size_t gapped_lane_count() { return byte_lanes; }

// One position's scores, looked up by residue code.
class ScoreRow {
  public:
    ScoreRow() = default;
#if HWY_TARGET == HWY_AVX3_DL
    explicit HWY_INLINE ScoreRow(std::int8_t const* row)
        : row_{_mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(row)))} {}
    HWY_INLINE Bytes of(Bytes codes) const { return Bytes{_mm512_permutexvar_epi8(codes.raw, row_)}; }

  private:
    __m512i row_;
#elif HWY_TARGET == HWY_SCALAR
    explicit HWY_INLINE ScoreRow(std::int8_t const* row) : row_{row} {}
    HWY_INLINE Bytes of(Bytes code) const { return hn::Load(ByteTag{}, row_ + hn::GetLane(code)); }

  private:
    std::int8_t const* row_;
#else
    explicit HWY_INLINE ScoreRow(std::int8_t const* row)
        : low_{hn::LoadDup128(ByteTag{}, row)}, high_{hn::LoadDup128(ByteTag{}, row + 16)} {}
    HWY_INLINE Bytes of(Bytes codes) const {
        ByteTag const d;
        Bytes const last = hn::Set(d, std::int8_t{15}), index = hn::And(codes, last);
        return hn::IfThenElse(hn::Gt(codes, last), hn::TableLookupBytes(high_, index),
                              hn::TableLookupBytes(low_, index));
    }

  private:
    Bytes low_, high_;
#endif
};

// Positions that go over the targets together: with their cells in registers, the arrays of `gapped_lanes`, which
// outgrow the first cache, are read and written once for all of them.
constexpr int together = HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3 ? 4 : 2;

struct Cells {
    std::int8_t const* codes;
    std::int8_t *cells, *deletions; ///< of the position before; deletions that lead to the next
    std::size_t size;
};

// Positions `k` to k + positions - 1.
template <int positions> HWY_INLINE Bytes advance(ScaledQuery const& query, int k, Cells const& of, Bytes best) {
    ByteTag const d;
    Bytes const floor = hn::Set(d, nothing), first = hn::Set(d, query.first), next = hn::Set(d, query.next);
    ScoreRow row[positions];
    Bytes diagonal[positions], insertion[positions];
    for (int p = 0; p < positions; ++p) {
        row[p] = ScoreRow{query.scores.values.data() + static_cast<std::size_t>(k + p) * IntegerScores::row_width};
        diagonal[p] = insertion[p] = floor;
    }
    for (std::size_t at = 0; at < of.size; at += byte_lanes) {
        Bytes const codes = hn::Load(d, of.codes + at);
        Bytes cell = hn::Load(d, of.cells + at), deletion = hn::Load(d, of.deletions + at);
        for (int p = 0; p < positions; ++p) {
            Bytes const match = hn::Max(hn::SaturatedAdd(diagonal[p], row[p].of(codes)), deletion);
            diagonal[p] = cell;
            cell = hn::Max(match, insertion[p]);
            // The cell's own insertion costs at least as much to open as to prolong: `match` is enough here, and the
            // chain from residue to residue is two steps long.
            insertion[p] = hn::Max(hn::SaturatedSub(insertion[p], next), hn::SaturatedSub(match, first));
            deletion = hn::Max(hn::SaturatedSub(deletion, next), hn::SaturatedSub(cell, first));
            best = hn::Max(best, cell);
        }
        hn::Store(cell, d, of.cells + at);
        hn::Store(deletion, d, of.deletions + at);
    }
    return best;
}

// Up to byte_lanes targets; reached[l] = 1 where lane l's score reaches 128.
void gapped_lanes(ScaledQuery const& query, std::span<std::span<Residue const> const> targets, std::uint8_t* reached) {
    ByteTag const d;
    std::size_t width = 0;
    for (auto const& target : targets) width = std::max(width, target.size());
    std::size_t const size = width * byte_lanes;
    auto const codes = hwy::AllocateAligned<std::int8_t>(size);
    auto const cells = hwy::AllocateAligned<std::int8_t>(size), deletions = hwy::AllocateAligned<std::int8_t>(size);
    std::fill_n(codes.get(), size, std::int8_t{IntegerScores::row_width - 1});
    std::fill_n(cells.get(), size, nothing);
    std::fill_n(deletions.get(), size, nothing);
    for (std::size_t l = 0; l < targets.size(); ++l)
        for (std::size_t j = 0; j < targets[l].size(); ++j)
            codes[j * byte_lanes + l] = static_cast<std::int8_t>(targets[l][j]);
    Cells const of{codes.get(), cells.get(), deletions.get(), size};
    Bytes best = hn::Set(d, nothing);
    int k = 0;
    for (; k + together <= query.scores.length; k += together) best = advance<together>(query, k, of, best);
    for (; k < query.scores.length; ++k) best = advance<1>(query, k, of, best);
    HWY_ALIGN std::int8_t lanes[byte_lanes];
    hn::Store(best, d, lanes);
    for (std::size_t l = 0; l < targets.size(); ++l) reached[l] = lanes[l] >= 0 ? 1 : 0;
}

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(gapped_lane_count);
HWY_EXPORT(gapped_lanes);

/// At a scale at which `threshold` half bits are 128.
ScaledQuery scaled_query(PositionScores const& query, GapCosts gaps, double threshold) {
    double const scale = 128 / threshold;
    auto const cost = [&](int half_bits) {
        return static_cast<std::int8_t>(std::clamp(std::floor(scale * half_bits), 1.0, 127.0));
    };
    ScaledQuery scaled{round_scores(query, scale), cost(gaps.open + gaps.extend), cost(gaps.extend)};
    for (int k = 1; k <= query.length; ++k)
        scaled.scores.values[static_cast<std::size_t>(k) * IntegerScores::row_width - 1] = -127;
    return scaled;
}

} // namespace

std::vector<std::uint32_t> gapped_above(PositionScores const& query, Database const& database,
                                        std::span<std::uint32_t const> targets,
                                        std::function<double(double)> const& threshold, int threads, GapCosts gaps) {
    // As many on every machine, so that scales, and with them what passes, are the same.
    constexpr std::size_t batch_targets = 64;
    std::size_t const lanes = HWY_DYNAMIC_DISPATCH(gapped_lane_count)();
    std::vector<std::uint8_t> reached(targets.size());
    parallel_for((targets.size() + batch_targets - 1) / batch_targets, threads, [&](std::size_t batch, int) {
        std::size_t const begin = batch * batch_targets;
        auto const members = targets.subspan(begin, std::min(batch_targets, targets.size() - begin));
        std::vector<std::span<Residue const>> residues;
        for (auto const target : members) residues.push_back(database.residues(target));
        auto const shortest = std::ranges::min(residues, {}, &std::span<Residue const>::size).size();
        auto const scaled = scaled_query(query, gaps, threshold(static_cast<double>(shortest)));
        for (std::size_t i = 0; i < residues.size(); i += lanes) HWY_DYNAMIC_DISPATCH(gapped_lanes)
        (scaled, std::span{residues}.subspan(i, std::min(lanes, residues.size() - i)), reached.data() + begin + i);
    });
    std::vector<std::uint32_t> above;
    for (std::size_t i = 0; i < targets.size(); ++i)
        if (reached[i]) above.push_back(targets[i]);
    return above;
}

} // namespace tape
#endif
