#include "data/error.hpp"
#include "features/column_features.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace tape {
namespace {

ColumnFeatures features_of(std::string const& a3m) {
    std::istringstream in{a3m};
    Msa const msa = read_msa(in, "test.a3m");
    std::vector<float> const ones(msa.depth(), 1.f);
    return column_features(msa, make_profile(msa, ones, {.neff_identity = false}), ones);
}

TEST(ColumnFeatures, RatesAndDepthByHand) {
    // Row 3 starts at column 2; row 4 ends at column 3, with an insertion behind its last residue that does not count.
    auto const features = features_of(">q\nACDEF\n>1\nACkkD-F\n>2\nA-DwEF\n>3\n-CkDEF\n>4\nACD--x\n");
    std::vector<float> const insertions{0, 2.f / 5, 1.f / 4, 0, 0}, gaps{0, 1.f / 5, 0, 1.f / 4, 0},
        depth{4.f / 5, 4.f / 5, 1, 3.f / 5, 4.f / 5};
    ASSERT_EQ(features.insertion_rate.size(), 5u);
    // Spanning columns 2 and 3 of 5: rows q, 1, 2, 3, 4; columns 3 and 4: all but row 4.
    for (std::size_t c = 0; c < 5; ++c) {
        EXPECT_FLOAT_EQ(features.insertion_rate[c], insertions[c]) << c;
        EXPECT_FLOAT_EQ(features.gap_rate[c], gaps[c]) << c;
        EXPECT_FLOAT_EQ(features.relative_depth[c], depth[c]) << c;
    }
}

TEST(ColumnFeatures, DivergenceIsThatOfTheFormula) {
    std::vector<float> tryptophan(20, 0.f);
    tryptophan[18] = 1;
    double const q = background_frequencies[18],
                 expected = 0.5 * std::log2(2 / (1 + q)) + 0.5 * q * std::log2(2 * q / (1 + q)) + 0.5 * (1 - q);
    EXPECT_NEAR(jensen_shannon_divergence(tryptophan, background_frequencies), expected, 1e-12);
    EXPECT_NEAR(
        jensen_shannon_divergence(std::vector<float>(background_frequencies.begin(), background_frequencies.end()),
                                  background_frequencies),
        0, 1e-9);
    EXPECT_EQ(jensen_shannon_divergence(std::vector<float>(20, 0.f), background_frequencies), 0);
}

TEST(ColumnFeatures, ConservationMixesNeighboursAndPaysForGaps) {
    // One gapless tryptophan column among eight: 0.5 own + 0.5 mean of its neighbours.
    auto const column = [](int code) {
        std::vector<float> counts(20, 0.f);
        counts[static_cast<std::size_t>(code)] = 1;
        return jensen_shannon_divergence(counts, background_frequencies);
    };
    double const w = column(18), a = column(0);
    auto const features = features_of(">q\nAAAAWAAA\n>1\n-AAAWAAA\n");
    EXPECT_NEAR(features.conservation[4], 0.5 * w + 0.5 * a, 1e-6);
    EXPECT_NEAR(features.conservation[3], 0.5 * a + 0.5 * (4.5 * a + w) / 6, 1e-6);
    EXPECT_NEAR(features.conservation[0], 0.5 * a / 2 + 0.5 * a, 1e-6);
    EXPECT_NEAR(features_of(">q\nW\n").conservation[0], w, 1e-6);
}

TEST(ColumnFeatures, RefusesWeightsOfAnotherAlignment) {
    Msa const msa = query_only_msa("q", "ACD", "");
    EXPECT_THROW(column_features(msa, make_profile(msa), std::vector<float>(2, 1.f)), error);
}

} // namespace
} // namespace tape
