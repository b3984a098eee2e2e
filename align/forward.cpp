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
#include <hwy/highway.h>
#include "align/forward_simd.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {

std::size_t forward_lane_count() { return lane_count; }

// Up to lane_count targets.
void forward_lanes(ForwardModel const& model, std::span<std::span<Residue const> const> targets, double* scores) {
    LaneCodes const codes{targets};
    ForwardPass pass{model, codes};
    for (std::size_t k = 0; k < model.length(); ++k) pass.step(k, [](std::size_t, Floats) {});
    pass.totals.bits({scores, targets.size()});
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
