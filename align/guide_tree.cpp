#include "align/guide_tree.hpp"

#include "data/parallel.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace tape {
namespace {

/// Where each amino acid stands in one sequence, a bit a position.
class PositionBits {
  public:
    explicit PositionBits(std::span<Residue const> sequence)
        : words_{(sequence.size() + 63) / 64}, bits_(words_ * (amino_acid_count + 1)) {
        for (std::size_t i = 0; i < sequence.size(); ++i)
            if (sequence[i] < amino_acid_count) bits_[sequence[i] * words_ + i / 64] |= std::uint64_t{1} << (i % 64);
    }

    /// Rows of the LCS table as differences: a zero bit is a step up. One pass a residue of the other sequence.
    [[nodiscard]] std::size_t common_subsequence(std::span<Residue const> other) const {
        std::vector<std::uint64_t> flat(words_, ~std::uint64_t{0});
        for (Residue const residue : other) {
            std::uint64_t const* const matches =
                bits_.data() + std::min<std::size_t>(residue, amino_acid_count) * words_;
            std::uint64_t carry = 0;
            for (std::size_t w = 0; w < words_; ++w) {
                std::uint64_t const here = flat[w] & matches[w];
                std::uint64_t const sum = flat[w] + here, with_carry = sum + carry;
                carry = static_cast<std::uint64_t>(sum < here) | static_cast<std::uint64_t>(with_carry < sum);
                flat[w] = with_carry | (flat[w] - here);
            }
        }
        std::size_t steps = 0;
        for (std::uint64_t const word : flat) steps += static_cast<std::size_t>(std::popcount(~word));
        return steps;
    }

  private:
    std::size_t words_;
    std::vector<std::uint64_t> bits_; ///< one row of words an amino acid, then one of zeros for all other codes
};

} // namespace

std::size_t longest_common_subsequence(std::span<Residue const> a, std::span<Residue const> b) {
    return PositionBits{a}.common_subsequence(b);
}

DistanceMatrix subsequence_distances(std::span<std::vector<Residue> const> sequences, int threads) {
    DistanceMatrix distances{sequences.size()};
    parallel_for(sequences.size(), threads, [&](std::size_t a, int) {
        PositionBits const bits{sequences[a]};
        for (std::size_t b = 0; b < a; ++b) {
            auto const common = static_cast<double>(bits.common_subsequence(sequences[b]));
            double const indel = static_cast<double>(sequences[a].size() + sequences[b].size()) - 2 * common;
            distances(a, b) = static_cast<float>(std::pow(indel, 0.75) / std::max(common, 0.5));
        }
    });
    return distances;
}

std::vector<std::vector<std::size_t>> GuideTree::leaves_below() const {
    std::vector<std::vector<std::size_t>> below(nodes());
    for (std::size_t leaf = 0; leaf < leaves; ++leaf) below[leaf] = {leaf};
    for (std::size_t i = 0; i < joins.size(); ++i) {
        auto& own = below[leaves + i];
        own = below[joins[i].left];
        own.insert(own.end(), below[joins[i].right].begin(), below[joins[i].right].end());
    }
    return below;
}

GuideTree average_linkage(DistanceMatrix distances) {
    std::size_t const count = distances.size();
    GuideTree tree;
    tree.leaves = count;
    // A cluster lives on at the place of one of its items; `node` is its number in the tree.
    std::vector<std::size_t> node(count), active(count), chain;
    std::vector<double> members(count, 1);
    std::iota(node.begin(), node.end(), 0), std::iota(active.begin(), active.end(), 0);
    while (active.size() > 1) {
        if (chain.empty()) chain.push_back(active.front());
        std::size_t const top = chain.back();
        // The one below in the chain wins ties, so that the chain ends.
        std::size_t const below = chain.size() > 1 ? chain[chain.size() - 2] : top;
        std::size_t nearest = below;
        for (std::size_t const other : active)
            if (other != top && (nearest == top || distances(top, other) < distances(top, nearest))) nearest = other;
        if (nearest != below || below == top) {
            chain.push_back(nearest);
            continue;
        }
        chain.resize(chain.size() - 2);
        std::size_t const kept = std::min(top, nearest), dropped = std::max(top, nearest);
        tree.joins.push_back({node[kept], node[dropped], distances(kept, dropped) / 2});
        std::erase(active, dropped);
        double const all = members[kept] + members[dropped];
        for (std::size_t const other : active)
            if (other != kept)
                distances(kept, other) =
                    static_cast<float>((members[kept] * static_cast<double>(distances(kept, other)) +
                                        members[dropped] * static_cast<double>(distances(dropped, other))) /
                                       all);
        members[kept] = all, node[kept] = count + tree.joins.size() - 1;
    }
    return tree;
}

std::vector<float> branch_weights(GuideTree const& tree) {
    std::vector<double> share(tree.nodes()), size(tree.nodes(), 1), height(tree.nodes());
    for (std::size_t i = 0; i < tree.joins.size(); ++i) {
        auto const& join = tree.joins[i];
        size[tree.leaves + i] = size[join.left] + size[join.right];
        height[tree.leaves + i] = static_cast<double>(join.height);
    }
    for (std::size_t i = tree.joins.size(); i-- > 0;)
        for (std::size_t const child : {tree.joins[i].left, tree.joins[i].right})
            share[child] =
                share[tree.leaves + i] + std::max(0.0, height[tree.leaves + i] - height[child]) / size[child];
    double const sum = std::accumulate(share.begin(), share.begin() + static_cast<std::ptrdiff_t>(tree.leaves), 0.0);
    std::vector<float> weights(tree.leaves, 1);
    for (std::size_t leaf = 0; leaf < tree.leaves && sum > 0; ++leaf)
        weights[leaf] = static_cast<float>(share[leaf] * static_cast<double>(tree.leaves) / sum);
    return weights;
}

} // namespace tape
