#include "align/posterior_alignment.hpp"

#include "align/flush_denormals.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

// Scalable vectors cannot be held in arrays; those machines take the NEON path.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/posterior_alignment.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "align/forward_simd.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {

constexpr std::size_t mask_bytes = (lane_count + 7) / 8;

std::size_t posterior_lane_count() { return lane_count; }

// Which way the best alignment goes on from each cell, a bit a lane: over a pair, or else past the node or the residue.
class Directions {
  public:
    Directions(std::size_t nodes, std::size_t width)
        : width_{width}, bits_{hwy::AllocateAligned<std::uint8_t>(nodes * width * 2 * mask_bytes)} {}

    template <class M> HWY_INLINE void set(std::size_t k, std::size_t j, M pair, M past_node) {
        std::uint8_t* const place = bits_.get() + (k * width_ + j) * 2 * mask_bytes;
        hn::StoreMaskBits(FloatTag{}, pair, place);
        hn::StoreMaskBits(FloatTag{}, past_node, place + mask_bytes);
    }

    [[nodiscard]] Alignment trace(std::size_t lane, std::size_t nodes, std::size_t residues) const {
        Alignment alignment;
        std::size_t aligned = 0; // operations up to the last pair
        for (std::size_t k = 0, j = 0; k < nodes && j < residues;) {
            std::uint8_t const* const place = bits_.get() + (k * width_ + j) * 2 * mask_bytes;
            auto const bit = [&](std::uint8_t const* mask) { return (mask[lane / 8] >> (lane % 8) & 1) != 0; };
            if (bit(place)) {
                if (aligned == 0) {
                    alignment.query_begin = static_cast<int>(k), alignment.target_begin = static_cast<int>(j);
                    alignment.operations.clear(); // what was passed before the first pair
                }
                alignment.operations += 'M', ++k, ++j;
                alignment.query_end = static_cast<int>(k), alignment.target_end = static_cast<int>(j);
                aligned = alignment.operations.size();
            } else if (bit(place + mask_bytes)) {
                alignment.operations += 'D', ++k;
            } else {
                alignment.operations += 'I', ++j;
            }
        }
        alignment.operations.resize(aligned);
        return alignment;
    }

  private:
    std::size_t width_;
    hwy::AlignedFreeUniquePtr<std::uint8_t[]> bits_;
};

// The way back through the nodes: sums over what follows each pair, its probability, and the best alignment from there.
class BackwardPass {
  public:
    BackwardPass(ForwardModel const& model, LaneCodes const& codes, LaneTotals const& forward)
        : model_{model}, codes_{codes}, forward_{forward}, rows_{hwy::AllocateAligned<float>(4 * codes.size())},
          emissions_{hwy::AllocateAligned<float>((amino_acid_count + 1) * lane_count)} {
        std::fill_n(rows_.get(), 4 * codes.size(), 0.0F);
        std::fill_n(emissions_.get(), (amino_acid_count + 1) * lane_count, 0.0F);
    }

    LaneTotals totals;

    // Node k, whose match sums on the way there are `matches`, with 2^60 taken out of them `taken` times.
    HWY_INLINE void step(std::size_t k, float const* matches, Floats taken, Floats threshold, Directions& directions) {
        FloatTag const d;
        Odds const odds{model_.odds.data() + k * ForwardModel::row_width};
        Steps const steps{model_.nodes[k]};
        std::size_t const size = codes_.size();
        // What follows a pair of the next node, a deletion of the next node; the best sum from a cell on; the probability
        // that a residue is part of any pair.
        float *const paired = rows_.get(), *const deleted = paired + size, *const best = deleted + size,
                     *const aligned = best + size;
        auto const [before, after] = shares(taken);
        Floats const end = totals.one;
        Floats next_pair = hn::Zero(d), insertion = hn::Zero(d), diagonal = hn::Zero(d), across = hn::Zero(d);
        Floats total = totals.total, weight = hn::Zero(d);
        for (std::size_t at = size; at > 0;) {
            at -= lane_count;
            Floats const deletion = hn::Load(d, deleted + at), down = hn::Load(d, best + at);
            Floats const follows = hn::Add(hn::Add(end, hn::Mul(next_pair, steps.mm)),
                                           hn::Add(hn::Mul(insertion, steps.mi), hn::Mul(deletion, steps.md)));
            insertion = hn::Add(hn::Mul(next_pair, steps.im), hn::Mul(insertion, steps.ii));
            hn::Store(hn::Add(hn::Mul(next_pair, steps.dm), hn::Mul(deletion, steps.dd)), d, deleted + at);
            next_pair = hn::Load(d, paired + at);
            Floats const pair = hn::Mul(follows, odds.of(codes_.at(at)));
            hn::Store(pair, d, paired + at);
            total = hn::Add(total, pair);
            Floats const probability = hn::Mul(hn::Mul(hn::Load(d, matches + at), before), hn::Mul(follows, after));
            weight = hn::Add(weight, probability);
            hn::Store(hn::Add(hn::Load(d, aligned + at), probability), d, aligned + at);
            Floats const with_pair = hn::Add(diagonal, hn::Sub(probability, threshold));
            Floats const without = hn::Max(down, across);
            directions.set(k, at / lane_count, hn::Gt(with_pair, without), hn::Ge(down, across));
            across = hn::Max(with_pair, without);
            diagonal = down;
            hn::Store(across, d, best + at);
        }
        totals.total = total;
        totals.rescale(paired, deleted, size);
        add_emissions(k, weight);
    }

    /// Bits that the residues' composition explains, after the last step.
    [[nodiscard]] double composition_bits(std::size_t lane, std::span<Residue const> residues) const {
        constexpr double prior = 1.0 / 256;
        auto const sum = [&](std::size_t code) { return static_cast<double>(emissions_[code * lane_count + lane]); };
        double const weight = sum(amino_acid_count);
        if (!(weight > 0)) return 0;
        double log_odds[amino_acid_count], bits = 0;
        for (std::size_t code = 0; code < amino_acid_count; ++code) log_odds[code] = std::log2(sum(code) / weight);
        float const* const aligned = rows_.get() + 3 * codes_.size();
        for (std::size_t j = 0; j < residues.size(); ++j)
            if (residues[j] < amino_acid_count)
                bits += static_cast<double>(aligned[j * lane_count + lane]) * log_odds[residues[j]];
        return std::log2(1 + prior * std::exp2(bits));
    }

  private:
    // Adds a node's odds to the mean over all nodes, as often as it is part of a pair.
    HWY_INLINE void add_emissions(std::size_t k, Floats weight) {
        FloatTag const d;
        float const* const odds = model_.odds.data() + k * ForwardModel::row_width;
        for (std::size_t code = 0; code <= amino_acid_count; ++code) {
            float* const sum = emissions_.get() + code * lane_count;
            Floats const more = code < amino_acid_count ? hn::Mul(weight, hn::Set(d, odds[code])) : weight;
            hn::Store(hn::Add(hn::Load(d, sum), more), d, sum);
        }
    }

    struct Shares {
        Floats before, after;
    };

    // (match * before) * (follows * after) is a pair's probability: both sums by the total, without leaving a float's
    // range on the way.
    HWY_INLINE Shares shares(Floats taken) const {
        FloatTag const d;
        Floats const power = hn::Sub(hn::Add(taken, totals.taken), forward_.taken);
        Floats const one = hn::Set(d, 1.0F), less = hn::Set(d, 0x1p-60F), none = hn::Zero(d);
        auto const below = [&](float limit) { return hn::Lt(power, hn::Set(d, limit)); };
        Floats const scale = hn::IfThenElse(below(-0.5F), less, hn::IfThenElse(below(0.5F), one, hn::Set(d, 0x1p60F)));
        return {hn::Mul(scale, hn::Div(one, forward_.total)),
                hn::IfThenElse(below(-2.5F), none, hn::IfThenElse(below(-1.5F), less, one))};
    }

    ForwardModel const& model_;
    LaneCodes const& codes_;
    LaneTotals const& forward_;
    hwy::AlignedFreeUniquePtr<float[]> rows_, emissions_; // emissions: 20 sums of odds, then of weights
};

// Up to lane_count targets.
void align_lanes(ForwardModel const& model, std::span<std::span<Residue const> const> targets, float threshold,
                 PosteriorAlignment* alignments) {
    FloatTag const d;
    LaneCodes const codes{targets};
    std::size_t const nodes = model.length(), size = codes.size();
    // A block of rows fits the second cache, unless the saved states would then outgrow the blocks.
    constexpr std::size_t block_cells = std::size_t{1} << 14;
    std::size_t const block =
        std::max({std::size_t{1}, block_cells / std::max<std::size_t>(codes.width(), 1),
                  static_cast<std::size_t>(std::sqrt(2 * static_cast<double>(nodes)))});
    std::size_t const blocks = (nodes + block - 1) / block;
    ForwardPass forward{model, codes};
    std::size_t const saved_size = forward.saved_size();
    auto const saved = hwy::AllocateAligned<float>(blocks * saved_size);
    for (std::size_t k = 0; k < nodes; ++k) {
        if (k % block == 0) forward.save(saved.get() + k / block * saved_size);
        forward.step(k, [](std::size_t, Floats) {});
    }
    LaneTotals const sums = forward.totals;
    Directions directions{nodes, codes.width()};
    BackwardPass backward{model, codes, sums};
    auto const matches = hwy::AllocateAligned<float>(std::min(block, nodes) * size);
    auto const taken = hwy::AllocateAligned<float>(std::min(block, nodes) * lane_count);
    for (std::size_t b = blocks; b-- > 0;) {
        std::size_t const first = b * block, last = std::min(nodes, first + block);
        forward.restore(saved.get() + b * saved_size);
        for (std::size_t k = first; k < last; ++k) {
            hn::Store(forward.totals.taken, d, taken.get() + (k - first) * lane_count);
            float* const row = matches.get() + (k - first) * size;
            forward.step(k, [&](std::size_t at, Floats match) { hn::Store(match, d, row + at); });
        }
        for (std::size_t k = last; k-- > first;)
            backward.step(k, matches.get() + (k - first) * size, hn::Load(d, taken.get() + (k - first) * lane_count),
                          hn::Set(d, threshold), directions);
    }
    double there[lane_count], back[lane_count];
    sums.bits({there, targets.size()});
    backward.totals.bits({back, targets.size()});
    for (std::size_t l = 0; l < targets.size(); ++l)
        if (std::abs(there[l] - back[l]) < 0.01)
            alignments[l] = {directions.trace(l, nodes, targets[l].size()), backward.composition_bits(l, targets[l])};
}

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(posterior_lane_count);
HWY_EXPORT(align_lanes);

} // namespace

std::vector<PosteriorAlignment> posterior_alignments(ForwardModel const& model,
                                                     std::span<std::span<Residue const> const> targets,
                                                     float threshold) {
    FlushDenormals const flush;
    std::vector<PosteriorAlignment> alignments(targets.size());
    std::vector<std::size_t> chosen;
    for (std::size_t t = 0; t < targets.size(); ++t)
        if (model.length() > 0 && !targets[t].empty() &&
            targets[t].size() <= posterior_alignment_cells / model.length())
            chosen.push_back(t);
    std::size_t const lanes = HWY_DYNAMIC_DISPATCH(posterior_lane_count)();
    for (std::size_t begin = 0; begin < chosen.size(); begin += lanes) {
        std::vector<std::span<Residue const>> batch;
        for (std::size_t i = begin; i < std::min(chosen.size(), begin + lanes); ++i) batch.push_back(targets[chosen[i]]);
        std::vector<PosteriorAlignment> found(batch.size());
        HWY_DYNAMIC_DISPATCH(align_lanes)(model, batch, threshold, found.data());
        for (std::size_t i = 0; i < batch.size(); ++i) alignments[chosen[begin + i]] = std::move(found[i]);
    }
    return alignments;
}

std::vector<double> pair_probabilities_reference(ForwardModel const& model, std::span<Residue const> target) {
    std::size_t const nodes = model.length(), length = target.size(), width = length + 1;
    auto const at = [width](std::size_t k, std::size_t j) { return k * width + j; };
    auto const odds = [&](std::size_t k, std::size_t j) {
        return static_cast<double>(model.odds[k * ForwardModel::row_width + target[j]]);
    };
    // Sums over what ends in, and over what follows, each node's match, insertion and deletion state at each residue.
    // Row 0 lies before the first node and column 0 before the first residue on the way there, row L behind the last
    // node and column n behind the last residue on the way back.
    using Matrix = std::vector<double>;
    Matrix match((nodes + 1) * width), insertion = match, deletion = match;
    double total = 0;
    for (std::size_t k = 1; k <= nodes; ++k) {
        auto const before = k == 1 ? ForwardModel::Node{} : model.nodes[k - 2];
        auto const& node = model.nodes[k - 1];
        for (std::size_t j = 1; j <= length; ++j) {
            match[at(k, j)] = (1 + match[at(k - 1, j - 1)] * static_cast<double>(before.match_match) +
                               insertion[at(k - 1, j - 1)] * static_cast<double>(before.insert_match) +
                               deletion[at(k - 1, j - 1)] * static_cast<double>(before.delete_match)) *
                              odds(k - 1, j - 1);
            insertion[at(k, j)] = match[at(k, j - 1)] * static_cast<double>(node.match_insert) +
                                  insertion[at(k, j - 1)] * static_cast<double>(node.insert_insert);
            deletion[at(k, j)] = match[at(k - 1, j)] * static_cast<double>(before.match_delete) +
                                 deletion[at(k - 1, j)] * static_cast<double>(before.delete_delete);
            total += match[at(k, j)];
        }
    }
    Matrix after_match((nodes + 1) * width), after_insertion = after_match, after_deletion = after_match;
    std::vector<double> probabilities(nodes * length);
    for (std::size_t k = nodes; k-- > 0;) {
        auto const& node = model.nodes[k];
        for (std::size_t j = length; j-- > 0;) {
            bool const inside = k + 1 < nodes && j + 1 < length;
            double const pair = inside ? odds(k + 1, j + 1) * after_match[at(k + 1, j + 1)] : 0;
            after_match[at(k, j)] = 1 + pair * static_cast<double>(node.match_match) +
                                    after_insertion[at(k, j + 1)] * static_cast<double>(node.match_insert) +
                                    after_deletion[at(k + 1, j)] * static_cast<double>(node.match_delete);
            after_insertion[at(k, j)] = pair * static_cast<double>(node.insert_match) +
                                        after_insertion[at(k, j + 1)] * static_cast<double>(node.insert_insert);
            after_deletion[at(k, j)] = pair * static_cast<double>(node.delete_match) +
                                       after_deletion[at(k + 1, j)] * static_cast<double>(node.delete_delete);
            probabilities[k * length + j] = match[at(k + 1, j + 1)] * after_match[at(k, j)] / total;
        }
    }
    return probabilities;
}

} // namespace tape
#endif
