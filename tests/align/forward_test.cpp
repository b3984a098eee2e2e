#include "align/forward.hpp"
#include "align/substitution.hpp"

#include "tests/align/random_model.hpp"
#include "tests/align/random_proteins.hpp"

#include <cmath>
#include <limits>

namespace tape {
namespace {

TEST(Forward, LanesAgreeWithTheReferenceOnEveryTarget) {
    std::mt19937_64 random{11};
    std::uniform_int_distribution<std::size_t> length(1, 300);
    for (int const nodes : {1, 2, 17, 120, 333}) {
        auto const model = test::random_model(random, nodes);
        std::vector<std::vector<Residue>> proteins;
        while (proteins.size() < 37) proteins.push_back(test::random_protein(random, length(random), 0.02));
        std::vector<std::span<Residue const>> const targets(proteins.begin(), proteins.end());
        std::vector<double> expected;
        test::for_each_simd_target([&] {
            auto const scores = forward_scores(model, targets);
            ASSERT_EQ(scores.size(), targets.size());
            for (std::size_t i = 0; i < targets.size(); ++i)
                EXPECT_NEAR(scores[i], forward_score_reference(model, targets[i]), 1e-3) << nodes << " nodes, " << i;
            if (expected.empty()) expected = scores;
            EXPECT_EQ(scores, expected) << "to the last bit";
        });
    }
}

TEST(Forward, ScoresDoNotDependOnTheOtherTargets) {
    std::mt19937_64 random{12};
    auto const model = test::random_model(random, 90);
    std::vector<std::vector<Residue>> proteins;
    for (std::size_t i = 0; i < 20; ++i) proteins.push_back(test::random_protein(random, 10 + 30 * i));
    auto const together =
        forward_scores(model, std::vector<std::span<Residue const>>(proteins.begin(), proteins.end()));
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::span<Residue const> const one{proteins[i]};
        EXPECT_EQ(forward_scores(model, std::span{&one, 1}).front(), together[i]);
    }
}

TEST(Forward, LongRelativesPassTheRangeOfFloats) {
    std::mt19937_64 random{13};
    auto const protein = test::random_protein(random, 300, 0), other = test::random_protein(random, 300, 0);
    auto const model = make_forward_model(sequence_scores(protein, {.composition_bias = false}),
                                          GapProbabilities{.open = 0.016, .extend = 0.7});
    std::vector<std::span<Residue const>> const targets{other, protein};
    auto const scores = forward_scores(model, targets);
    EXPECT_GT(scores[1], 400) << "2^128 is the greatest float";
    for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(scores[i], forward_score_reference(model, targets[i]), 1e-2);
}

/// One node and n residues: the odds of all of them added up; two nodes add the alignments through both.
TEST(Forward, TheDiagonalIsMostOfASequencesOwnScore) {
    std::mt19937_64 random{14};
    for (int trial = 0; trial < 10; ++trial) {
        auto const protein = test::random_protein(random, 60 + 12 * trial, 0);
        auto const model = make_forward_model(sequence_scores(protein, {.mask_low_complexity = false}),
                                              GapProbabilities{.open = 0.016, .extend = 0.7});
        double const diagonal = bits_along_diagonal(model, protein), all = forward_score_reference(model, protein);
        EXPECT_LT(diagonal, all) << "one of the alignments that Forward adds up";
        EXPECT_NEAR(diagonal, all, 0.1 * all);
    }
}

TEST(Forward, SmallModelsByHand) {
    PositionScores scores{2, std::vector<float>(2 * residue_code_count, 0)};
    for (int code = 0; code < residue_code_count; ++code) scores.values[static_cast<std::size_t>(code)] = 2;
    double const odds = std::exp(2 * blosum62_lambda());
    auto const model = make_forward_model(scores, GapProbabilities{.open = 0.1, .extend = 0.5});
    std::vector<Residue> const one{3}, three{0, 1, 2};
    std::vector<std::span<Residue const>> const targets{one, three, {}};
    auto const found = forward_scores(model, targets);
    EXPECT_NEAR(found[0], std::log2(odds + 1), 1e-5);
    // Three single matches in either node, two direct pairs, and one pair around an insertion.
    EXPECT_NEAR(found[1], std::log2(3 * odds + 3 + 2 * odds * 0.8 + odds * 0.1 * 0.5), 1e-5);
    EXPECT_EQ(found[2], -std::numeric_limits<double>::infinity());
}

} // namespace
} // namespace tape
