#include "align/forward.hpp"

#include "align/flush_denormals.hpp"
#include "align/substitution.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

// Scalable vectors cannot be held in arrays; those machines take the NEON path.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/forward.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
using CodeTag = hn::ScalableTag<std::int32_t>;
using Codes = hn::Vec<CodeTag>;
constexpr std::size_t lane_count = hn::MaxLanes(FloatTag{});

std::size_t forward_lane_count() { return lane_count; }

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

// Up to lane_count targets.
void forward_lanes(ForwardModel const& model, std::span<std::span<Residue const> const> targets, double* scores) {
    FloatTag const d;
    CodeTag const codes_tag;
    std::size_t width = 0;
    for (auto const& target : targets) width = std::max(width, target.size());
    std::size_t const size = width * lane_count;
    auto const codes = hwy::AllocateAligned<std::int32_t>(size);
    // What leads to a match one residue on, one node on; and to a deletion one node on.
    auto const leading = hwy::AllocateAligned<float>(size), deleted = hwy::AllocateAligned<float>(size);
    std::fill_n(codes.get(), size, ForwardModel::row_width - 1);
    std::fill_n(leading.get(), size, 0.0F);
    std::fill_n(deleted.get(), size, 0.0F);
    for (std::size_t l = 0; l < targets.size(); ++l)
        for (std::size_t j = 0; j < targets[l].size(); ++j) codes[j * lane_count + l] = targets[l][j];
    int exponents[lane_count] = {};
    Floats begin = hn::Set(d, 1.0F), total = hn::Zero(d);
    constexpr int step = 60;
    for (std::size_t k = 0; k < model.length(); ++k) {
        Odds const odds{model.odds.data() + k * ForwardModel::row_width};
        auto const& node = model.nodes[k];
        Floats const mm = hn::Set(d, node.match_match), mi = hn::Set(d, node.match_insert);
        Floats const md = hn::Set(d, node.match_delete), im = hn::Set(d, node.insert_match);
        Floats const ii = hn::Set(d, node.insert_insert), dm = hn::Set(d, node.delete_match);
        Floats const dd = hn::Set(d, node.delete_delete);
        Floats from = hn::Zero(d), match = hn::Zero(d), insertion = hn::Zero(d);
        for (std::size_t at = 0; at < size; at += lane_count) {
            insertion = hn::Add(hn::Mul(match, mi), hn::Mul(insertion, ii));
            match = hn::Mul(hn::Add(from, begin), odds.of(hn::Load(codes_tag, codes.get() + at)));
            total = hn::Add(total, match);
            Floats const deletion = hn::Load(d, deleted.get() + at);
            from = hn::Load(d, leading.get() + at);
            hn::Store(hn::Add(hn::Add(hn::Mul(match, mm), hn::Mul(insertion, im)), hn::Mul(deletion, dm)), d,
                      leading.get() + at);
            hn::Store(hn::Add(hn::Mul(match, md), hn::Mul(deletion, dd)), d, deleted.get() + at);
        }
        auto const large = hn::Gt(total, hn::Set(d, 0x1p60F));
        if (hn::AllFalse(d, large)) continue;
        Floats const factor = hn::IfThenElse(large, hn::Set(d, 0x1p-60F), hn::Set(d, 1.0F));
        begin = hn::Mul(begin, factor), total = hn::Mul(total, factor);
        for (std::size_t at = 0; at < size; at += lane_count)
            for (float* const values : {leading.get() + at, deleted.get() + at})
                hn::Store(hn::Mul(hn::Load(d, values), factor), d, values);
        HWY_ALIGN float factors[lane_count];
        hn::Store(factor, d, factors);
        for (std::size_t l = 0; l < lane_count; ++l) exponents[l] += factors[l] < 1 ? step : 0;
    }
    HWY_ALIGN float totals[lane_count];
    hn::Store(total, d, totals);
    for (std::size_t l = 0; l < targets.size(); ++l)
        scores[l] = std::log2(static_cast<double>(totals[l])) + exponents[l];
}

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(forward_lane_count);
HWY_EXPORT(forward_lanes);

std::vector<float> odds_of(PositionScores const& scores) {
    auto const length = static_cast<std::size_t>(scores.length);
    std::vector<float> odds(length * ForwardModel::row_width);
    for (std::size_t k = 0; k < length; ++k)
        for (int code = 0; code + 1 < ForwardModel::row_width; ++code) {
            auto const score = scores.at(static_cast<int>(k), std::min<int>(code, unknown_code));
            odds[k * ForwardModel::row_width + static_cast<std::size_t>(code)] =
                static_cast<float>(std::exp(blosum62_lambda() * static_cast<double>(score)));
        }
    return odds;
}

} // namespace

ForwardModel make_forward_model(PositionScores const& scores, GapProbabilities gaps) {
    auto const open = static_cast<float>(gaps.open), extend = static_cast<float>(gaps.extend);
    ForwardModel::Node const node{1 - 2 * open, open, open, 1 - extend, extend, 1 - extend, extend};
    return {odds_of(scores), std::vector(static_cast<std::size_t>(scores.length), node)};
}

ForwardModel make_forward_model(PositionScores const& scores, TransitionMatrix const& transitions) {
    ForwardModel model{odds_of(scores), {}};
    for (Eigen::Index k = 1; k <= scores.length; ++k) {
        auto const from = transitions.row(k);
        model.nodes.push_back({from(match_match), from(match_insert), from(match_delete), from(insert_match),
                               from(insert_insert), from(delete_match), from(delete_delete)});
    }
    return model;
}

std::vector<double> forward_scores(ForwardModel const& model, std::span<std::span<Residue const> const> targets) {
    FlushDenormals const flush;
    std::vector<double> scores(targets.size());
    std::size_t const lanes = HWY_DYNAMIC_DISPATCH(forward_lane_count)();
    for (std::size_t begin = 0; begin < targets.size(); begin += lanes) HWY_DYNAMIC_DISPATCH(forward_lanes)
    (model, targets.subspan(begin, std::min(lanes, targets.size() - begin)), scores.data() + begin);
    return scores;
}

double bits_along_diagonal(ForwardModel const& model, std::span<Residue const> target) {
    double bits = 0;
    for (std::size_t k = 0; k < model.length(); ++k) {
        bits += std::log2(static_cast<double>(model.odds[k * ForwardModel::row_width + target[k]]));
        if (k + 1 < model.length()) bits += std::log2(static_cast<double>(model.nodes[k].match_match));
    }
    return bits;
}

double forward_score_reference(ForwardModel const& model, std::span<Residue const> target) {
    std::size_t const length = target.size();
    // Sums over what ends in a node's match state, insertion or deletion at a residue; index 0 lies before the first.
    std::vector<double> match(length + 1), insertion(length + 1), deletion(length + 1);
    double total = 0;
    ForwardModel::Node before{};
    auto const product = [](double value, float probability) { return value * static_cast<double>(probability); };
    for (std::size_t k = 0; k < model.length(); ++k) {
        std::vector<double> next_match(length + 1), next_insertion(length + 1), next_deletion(length + 1);
        auto const& node = model.nodes[k];
        for (std::size_t j = 1; j <= length; ++j) {
            next_match[j] =
                product(1 + product(match[j - 1], before.match_match) + product(insertion[j - 1], before.insert_match) +
                            product(deletion[j - 1], before.delete_match),
                        model.odds[k * ForwardModel::row_width + target[j - 1]]);
            next_insertion[j] =
                product(next_match[j - 1], node.match_insert) + product(next_insertion[j - 1], node.insert_insert);
            next_deletion[j] = product(match[j], before.match_delete) + product(deletion[j], before.delete_delete);
            total += next_match[j];
        }
        match.swap(next_match), insertion.swap(next_insertion), deletion.swap(next_deletion);
        before = node;
    }
    return std::log2(total);
}

} // namespace tape
#endif
