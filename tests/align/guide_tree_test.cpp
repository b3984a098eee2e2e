#include "align/guide_tree.hpp"
#include "data/alphabet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <vector>

namespace tape {
namespace {

std::vector<Residue> random_residues(std::mt19937_64& random, std::size_t length, int letters) {
    std::uniform_int_distribution<int> residue(0, letters - 1);
    std::vector<Residue> sequence(length);
    for (auto& code : sequence) code = static_cast<Residue>(residue(random));
    return sequence;
}

std::size_t plain_common_subsequence(std::vector<Residue> const& a, std::vector<Residue> const& b) {
    std::vector<std::vector<std::size_t>> best(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 1; i <= a.size(); ++i)
        for (std::size_t j = 1; j <= b.size(); ++j)
            best[i][j] = a[i - 1] == b[j - 1] && a[i - 1] < amino_acid_count ? best[i - 1][j - 1] + 1
                                                                             : std::max(best[i - 1][j], best[i][j - 1]);
    return best[a.size()][b.size()];
}

TEST(GuideTree, CommonSubsequenceEqualsPlainTable) {
    std::mt19937_64 random{1};
    for (std::size_t const length : {1, 2, 63, 64, 65, 127, 128, 129, 200})
        for (int const letters : {2, 5, 20, 22}) {
            auto const a = random_residues(random, length, letters);
            auto const b = random_residues(random, 1 + random() % 230, letters);
            EXPECT_EQ(longest_common_subsequence(a, b), plain_common_subsequence(a, b)) << length << ' ' << letters;
        }
}

TEST(GuideTree, SubsequenceDistancesAreZeroForEqualSequencesAndTheSameForAnyThreads) {
    std::mt19937_64 random{2};
    std::vector<std::vector<Residue>> sequences;
    for (int s = 0; s < 20; ++s) sequences.push_back(random_residues(random, 30 + random() % 100, 20));
    sequences.push_back(sequences.front());
    auto const one = subsequence_distances(sequences, 1), three = subsequence_distances(sequences, 3);
    EXPECT_EQ(one(0, 20), 0);
    for (std::size_t a = 0; a < 21; ++a)
        for (std::size_t b = 0; b < a; ++b) EXPECT_EQ(one(a, b), three(b, a));
    EXPECT_GT(one(1, 2), 0);
}

/// Average linkage by definition: mean distance over all pairs of leaves, the least pair first.
std::set<std::pair<std::vector<std::size_t>, float>> plain_clusters(DistanceMatrix const& distances) {
    std::vector<std::vector<std::size_t>> clusters;
    for (std::size_t i = 0; i < distances.size(); ++i) clusters.push_back({i});
    std::set<std::pair<std::vector<std::size_t>, float>> joined;
    while (clusters.size() > 1) {
        double least = std::numeric_limits<double>::infinity();
        std::size_t first = 0, second = 0;
        for (std::size_t a = 0; a < clusters.size(); ++a)
            for (std::size_t b = 0; b < a; ++b) {
                double sum = 0;
                for (auto const i : clusters[a])
                    for (auto const j : clusters[b]) sum += static_cast<double>(distances(i, j));
                sum /= static_cast<double>(clusters[a].size() * clusters[b].size());
                if (sum < least) least = sum, first = b, second = a;
            }
        clusters[first].insert(clusters[first].end(), clusters[second].begin(), clusters[second].end());
        std::ranges::sort(clusters[first]);
        joined.emplace(clusters[first], static_cast<float>(least / 2));
        clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(second));
    }
    return joined;
}

TEST(GuideTree, AverageLinkageEqualsItsDefinition) {
    std::mt19937_64 random{3};
    std::uniform_real_distribution<float> distance(0.1F, 2);
    for (std::size_t const count : {1, 2, 3, 10, 25}) {
        DistanceMatrix distances{count};
        for (std::size_t a = 0; a < count; ++a)
            for (std::size_t b = 0; b < a; ++b) distances(a, b) = distance(random);
        auto const tree = average_linkage(distances);
        ASSERT_EQ(tree.joins.size(), count - 1);
        auto const expected = plain_clusters(distances);
        auto const below = tree.leaves_below();
        for (std::size_t i = 0; i < tree.joins.size(); ++i) {
            EXPECT_LT(std::max(tree.joins[i].left, tree.joins[i].right), count + i);
            auto leaves = below[count + i];
            std::ranges::sort(leaves);
            EXPECT_TRUE(std::ranges::any_of(expected,
                                            [&](auto const& cluster) {
                                                return cluster.first == leaves &&
                                                       std::abs(cluster.second - tree.joins[i].height) < 1e-5F;
                                            }))
                << "join " << i << " of " << count;
        }
    }
}

TEST(GuideTree, EqualDistancesEnd) {
    DistanceMatrix const zero{50};
    auto const tree = average_linkage(zero);
    EXPECT_EQ(tree.joins.size(), 49U);
    for (float const weight : branch_weights(tree)) EXPECT_EQ(weight, 1);
}

TEST(GuideTree, BranchWeightsShareBranches) {
    // ((0, 1) at 1, 2) at 2: leaves 0 and 1 own a branch of 1 and half of another, leaf 2 one of 2.
    GuideTree const tree{3, {{0, 1, 1.0F}, {3, 2, 2.0F}}};
    auto const weights = branch_weights(tree);
    EXPECT_FLOAT_EQ(weights[0], 0.9F);
    EXPECT_FLOAT_EQ(weights[1], 0.9F);
    EXPECT_FLOAT_EQ(weights[2], 1.2F);
}

} // namespace
} // namespace tape
