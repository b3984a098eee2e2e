#include "align/substitution.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace tape {
namespace {

int score(char a, char b) { return blosum62[residue_code(a)][residue_code(b)]; }

TEST(Blosum62, KnownEntriesAndSymmetry) {
    EXPECT_EQ(score('W', 'W'), 11);
    EXPECT_EQ(score('C', 'C'), 9);
    EXPECT_EQ(score('I', 'V'), 3);
    EXPECT_EQ(score('D', 'W'), -4);
    for (int a = 0; a < residue_code_count; ++a)
        for (int b = 0; b < residue_code_count; ++b) EXPECT_EQ(blosum62[a][b], blosum62[b][a]);
}

TEST(Blosum62, ConditionalRowsAreDistributionsAndFavourTheResidue) {
    auto const& conditional = blosum62_conditional();
    for (int b = 0; b < amino_acid_count; ++b) {
        double sum = 0;
        for (int a = 0; a < amino_acid_count; ++a) sum += conditional[b][a];
        EXPECT_NEAR(sum, 1, 1e-12);
        EXPECT_GT(conditional[b][b], background_frequencies[b]);
    }
    double expected = 0;
    for (int a = 0; a < amino_acid_count; ++a)
        for (int b = 0; b < amino_acid_count; ++b)
            expected +=
                background_frequencies[a] * background_frequencies[b] * std::exp(blosum62_lambda() * blosum62[a][b]);
    EXPECT_NEAR(expected, 1, 1e-9);
}

} // namespace
} // namespace tape
