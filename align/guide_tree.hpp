#pragma once

#include "data/alphabet.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace tape {

/// Symmetric distances of N items with a zero diagonal, N (N - 1) / 2 floats.
class DistanceMatrix {
  public:
    explicit DistanceMatrix(std::size_t size) : size_{size}, values_(size * (size - (size > 0)) / 2) {}
    [[nodiscard]] std::size_t size() const { return size_; }
    /// a and b differ.
    [[nodiscard]] float& operator()(std::size_t a, std::size_t b) { return values_[place(a, b)]; }
    [[nodiscard]] float operator()(std::size_t a, std::size_t b) const { return values_[place(a, b)]; }

  private:
    [[nodiscard]] static std::size_t place(std::size_t a, std::size_t b) {
        return a > b ? a * (a - 1) / 2 + b : b * (b - 1) / 2 + a;
    }
    std::size_t size_;
    std::vector<float> values_;
};

/// Length of the longest common subsequence, 64 cells a word operation (Hyyro, AWOCA 2004). Unknown residues match
/// nothing. O(|a| |b| / 64) time, O(|a|) memory.
std::size_t longest_common_subsequence(std::span<Residue const> a, std::span<Residue const> b);

/// indel^0.75 / LCS with indel = |a| + |b| - 2 LCS, the measure of FAMSA2 (Gudys et al., bioRxiv 2025; after Deorowicz,
/// Debudaj-Grabysz & Gudys, Sci Rep 6:33964, 2016). The same bytes for any number of threads. O(N^2 L^2 / 64) time.
DistanceMatrix subsequence_distances(std::span<std::vector<Residue> const> sequences, int threads = 1);

/// Rooted binary tree over N leaves. Nodes 0 to N - 1 are the leaves, node N + i is `joins[i]`; the last is the root.
struct GuideTree {
    struct Join {
        std::size_t left, right; ///< nodes, both before this one
        float height;            ///< half the distance at which the two were joined; leaves are at 0
    };
    std::size_t leaves = 0;
    std::vector<Join> joins; ///< N - 1, children first

    [[nodiscard]] std::size_t nodes() const { return leaves + joins.size(); }
    /// Leaves below each node, in the order of the tree. O(N depth) memory.
    [[nodiscard]] std::vector<std::vector<std::size_t>> leaves_below() const;
};

/// Average linkage (UPGMA; Sokal & Michener 1958) by nearest-neighbour chains (Murtagh, Comput J 26:354, 1983). Of
/// equal distances the lower index wins. O(N^2) time; works in place on the distances given.
GuideTree average_linkage(DistanceMatrix distances);

/// Weights of leaves: each branch's length is shared equally by the leaves below it (Thompson, Higgins & Gibson, CABIOS
/// 10:19, 1994), scaled to mean 1; all 1 if the tree has no length. O(N depth).
std::vector<float> branch_weights(GuideTree const& tree);

} // namespace tape
