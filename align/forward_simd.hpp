// What the kernels of local Forward share: floats in lanes, one target each. Included once per SIMD target (see
// hwy/foreach_target.h): no pragma once.
#if defined(TAPE_ALIGN_FORWARD_SIMD_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPE_ALIGN_FORWARD_SIMD_HPP
#undef TAPE_ALIGN_FORWARD_SIMD_HPP
#else
#define TAPE_ALIGN_FORWARD_SIMD_HPP
#endif

#include "align/forward.hpp"

#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
using CodeTag = hn::ScalableTag<std::int32_t>;
using Codes = hn::Vec<CodeTag>;
constexpr std::size_t lane_count = hn::MaxLanes(FloatTag{});

// One node's odds, looked up by residue code.
class Odds {
  public:
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    explicit HWY_INLINE Odds(float const* row) : low_{_mm512_loadu_ps(row)}, high_{_mm512_loadu_ps(row + 16)} {}
    HWY_INLINE Floats of(Codes codes) const { return Floats{_mm512_permutex2var_ps(low_, codes.raw, high_)}; }

  private:
    __m512 low_, high_;
#else
    explicit HWY_INLINE Odds(float const* row) : row_{row} {}
    HWY_INLINE Floats of(Codes codes) const { return hn::GatherIndex(FloatTag{}, row_, codes); }

  private:
    float const* row_;
#endif
};

// One node's transitions, in every lane.
struct Steps {
    explicit HWY_INLINE Steps(ForwardModel::Node const& node)
        : mm{hn::Set(FloatTag{}, node.match_match)}, mi{hn::Set(FloatTag{}, node.match_insert)},
          md{hn::Set(FloatTag{}, node.match_delete)}, im{hn::Set(FloatTag{}, node.insert_match)},
          ii{hn::Set(FloatTag{}, node.insert_insert)}, dm{hn::Set(FloatTag{}, node.delete_match)},
          dd{hn::Set(FloatTag{}, node.delete_delete)} {}

    Floats mm, mi, md, im, ii, dm, dd;
};

// Residue codes of up to lane_count targets, residue by residue, filled up with the code whose odds are 0.
class LaneCodes {
  public:
    explicit LaneCodes(std::span<std::span<Residue const> const> targets) {
        for (auto const& target : targets) width_ = std::max(width_, target.size());
        codes_ = hwy::AllocateAligned<std::int32_t>(size());
        std::fill_n(codes_.get(), size(), ForwardModel::row_width - 1);
        for (std::size_t l = 0; l < targets.size(); ++l)
            for (std::size_t j = 0; j < targets[l].size(); ++j) codes_[j * lane_count + l] = targets[l][j];
    }

    [[nodiscard]] std::size_t width() const { return width_; }
    [[nodiscard]] std::size_t size() const { return width_ * lane_count; }
    [[nodiscard]] HWY_INLINE Codes at(std::size_t place) const { return hn::Load(CodeTag{}, codes_.get() + place); }

  private:
    std::size_t width_ = 0;
    hwy::AlignedFreeUniquePtr<std::int32_t[]> codes_;
};

// Sums of odds grow beyond what a float holds: a lane whose total passes 2^60 gets that power taken out of it.
struct LaneTotals {
    static constexpr int step = 60;

    HWY_INLINE LaneTotals()
        : one{hn::Set(FloatTag{}, 1.0F)}, total{hn::Zero(FloatTag{})}, taken{hn::Zero(FloatTag{})} {}

    Floats one;   // what odds of 1 have become
    Floats total;
    Floats taken; // how often

    // Rescales the two rows along with the totals.
    HWY_INLINE void rescale(float* first, float* second, std::size_t size) {
        FloatTag const d;
        auto const large = hn::Gt(total, hn::Set(d, 0x1p60F));
        if (hn::AllFalse(d, large)) return;
        Floats const factor = hn::IfThenElse(large, hn::Set(d, 0x1p-60F), hn::Set(d, 1.0F));
        one = hn::Mul(one, factor), total = hn::Mul(total, factor);
        taken = hn::Add(taken, hn::IfThenElseZero(large, hn::Set(d, 1.0F)));
        for (std::size_t at = 0; at < size; at += lane_count)
            for (float* const row : {first, second}) hn::Store(hn::Mul(hn::Load(d, row + at), factor), d, row + at);
    }

    // log2 of the first totals.
    void bits(std::span<double> scores) const {
        HWY_ALIGN float totals[lane_count], powers[lane_count];
        hn::Store(total, FloatTag{}, totals), hn::Store(taken, FloatTag{}, powers);
        for (std::size_t l = 0; l < scores.size(); ++l)
            scores[l] = std::log2(static_cast<double>(totals[l])) + step * static_cast<double>(powers[l]);
    }
};

// Goes through the model's nodes, adding up all that ends in each cell.
class ForwardPass {
  public:
    ForwardPass(ForwardModel const& model, LaneCodes const& codes)
        : model_{model}, codes_{codes}, rows_{hwy::AllocateAligned<float>(2 * codes.size())} {
        std::fill_n(rows_.get(), 2 * codes.size(), 0.0F);
    }

    LaneTotals totals;

    // Node k: the sums in its match state are handed to `visit(place, sums)`.
    template <typename Visit> HWY_INLINE void step(std::size_t k, Visit const& visit) {
        FloatTag const d;
        Odds const odds{model_.odds.data() + k * ForwardModel::row_width};
        Steps const steps{model_.nodes[k]};
        std::size_t const size = codes_.size();
        // What leads to a match one residue on, one node on; and to a deletion one node on.
        float *const leading = rows_.get(), *const deleted = leading + size;
        Floats const begin = totals.one;
        Floats from = hn::Zero(d), match = hn::Zero(d), insertion = hn::Zero(d), total = totals.total;
        for (std::size_t at = 0; at < size; at += lane_count) {
            insertion = hn::Add(hn::Mul(match, steps.mi), hn::Mul(insertion, steps.ii));
            match = hn::Mul(hn::Add(from, begin), odds.of(codes_.at(at)));
            total = hn::Add(total, match);
            visit(at, match);
            Floats const deletion = hn::Load(d, deleted + at);
            from = hn::Load(d, leading + at);
            hn::Store(
                hn::Add(hn::Add(hn::Mul(match, steps.mm), hn::Mul(insertion, steps.im)), hn::Mul(deletion, steps.dm)),
                d, leading + at);
            hn::Store(hn::Add(hn::Mul(match, steps.md), hn::Mul(deletion, steps.dd)), d, deleted + at);
        }
        totals.total = total;
        totals.rescale(leading, deleted, size);
    }

    // The state between two nodes.
    [[nodiscard]] std::size_t saved_size() const { return 2 * codes_.size() + 3 * lane_count; }
    void save(float* to) const {
        FloatTag const d;
        std::size_t const size = 2 * codes_.size();
        std::copy_n(rows_.get(), size, to);
        hn::Store(totals.one, d, to + size);
        hn::Store(totals.total, d, to + size + lane_count);
        hn::Store(totals.taken, d, to + size + 2 * lane_count);
    }
    void restore(float const* from) {
        FloatTag const d;
        std::size_t const size = 2 * codes_.size();
        std::copy_n(from, size, rows_.get());
        totals.one = hn::Load(d, from + size);
        totals.total = hn::Load(d, from + size + lane_count);
        totals.taken = hn::Load(d, from + size + 2 * lane_count);
    }

  private:
    ForwardModel const& model_;
    LaneCodes const& codes_;
    hwy::AlignedFreeUniquePtr<float[]> rows_;
};

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
