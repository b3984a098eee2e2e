#include "align/position_scores.hpp"
#include "align/statistics.hpp"
#include "align/substitution.hpp"

#include "tests/align/random_proteins.hpp"

#include <cmath>
#include <span>

namespace tape {
namespace {

TEST(Statistics, AreaOfLongSequencesNearsTheProduct) {
    double const area = effective_area(blosum62_gapped, 1e6, 2e6, 50);
    EXPECT_NEAR(area / 2e12, 1, 1e-3);
    EXPECT_LT(area, 2e12);
}

TEST(Statistics, AreaShrinksWithScoreAndIsSymmetric) {
    double before = effective_area(blosum62_gapped, 200, 300, 30);
    EXPECT_LT(before, 200.0 * 300);
    for (int score = 35; score < 150; score += 5) {
        double const area = effective_area(blosum62_gapped, 200, 300, score);
        EXPECT_LT(area, before);
        EXPECT_GT(area, 0);
        EXPECT_DOUBLE_EQ(area, effective_area(blosum62_gapped, 300, 200, score));
        before = area;
    }
}

ForwardModel model_of(std::span<Residue const> query) {
    return make_forward_model(sequence_scores(query), GapProbabilities{.open = 0.016, .extend = 0.7});
}

TEST(Statistics, EvaluesHalveWithEveryBitAndGrowWithTheDatabase) {
    std::mt19937_64 random{1};
    auto const model = model_of(test::random_protein(random, 250, 0));
    EvalueModel const small{model, 50}, large{model, 100};
    EXPECT_NEAR(large.evalue(30, 300) / small.evalue(30, 300), 2, 1e-9);
    double const ratio = small.evalue(30, 300) / small.evalue(31, 300);
    EXPECT_GT(ratio, 2) << "the area shrinks too";
    EXPECT_LT(ratio, 2.1);
    EXPECT_GT(small.evalue(30, 600), small.evalue(30, 300));
    EXPECT_DOUBLE_EQ(small.bits(31) - small.bits(30), 1);
}

/// Random sequences of other lengths than those simulated reach a score as often as its E-value says.
TEST(Statistics, RandomTargetsReachTheirEvalues) {
    std::mt19937_64 random{3};
    constexpr std::size_t targets = 3000;
    for (auto const& [query_length, target_length] : {std::pair{60U, 300U}, {200U, 60U}, {300U, 500U}}) {
        auto const model = model_of(test::random_protein(random, query_length, 0));
        EvalueModel const statistics{model, targets};
        std::vector<std::vector<Residue>> proteins;
        while (proteins.size() < targets) proteins.push_back(test::random_protein(random, target_length, 0));
        int hits = 0;
        for (double const score :
             forward_scores(model, std::vector<std::span<Residue const>>(proteins.begin(), proteins.end())))
            hits += statistics.evalue(score, target_length) <= 60;
        EXPECT_GT(hits, 30) << query_length << " against " << target_length;
        EXPECT_LT(hits, 120) << query_length << " against " << target_length;
    }
}

TEST(Statistics, AQueryOfUnknownResiduesHasNoHits) {
    std::vector<Residue> const query(80, unknown_code);
    auto const model = model_of(query);
    std::mt19937_64 random{5};
    auto const protein = test::random_protein(random, 200, 0);
    EXPECT_GT((EvalueModel{model, 1000}.evalue(forward_score_reference(model, protein), protein.size())), 10);
}

TEST(Statistics, UngappedThresholdInvertsTheGumbelTail) {
    double const score = ungapped_threshold(200, 400, 0.02);
    EXPECT_NEAR(blosum62_ungapped_k * 200 * 400 * std::exp(-blosum62_ungapped_lambda * score), 0.02, 1e-12);
    EXPECT_GE(ungapped_threshold(1, 1, 1), 1);
}

TEST(PositionScores, CompositionBiasLowersWhatIsCommonAround) {
    std::mt19937_64 random{2};
    auto query = test::random_protein(random, 200, 0);
    for (std::size_t i = 80; i < 120; i += 2) query[i] = static_cast<Residue>(amino_acids.find('K'));
    auto const with = sequence_scores(query, {.mask_low_complexity = false}),
               without = sequence_scores(query, {.composition_bias = false, .mask_low_complexity = false});
    int const lysine = static_cast<int>(amino_acids.find('K'));
    EXPECT_LT(with.at(100, lysine), without.at(100, lysine) - 0.5F);
    // The same shift for every residue of a position; none for unknown ones.
    for (int a = 0; a < amino_acid_count; ++a)
        EXPECT_NEAR(with.at(100, a) - without.at(100, a), with.at(100, lysine) - without.at(100, lysine), 1e-5);
    EXPECT_EQ(with.at(100, unknown_code), without.at(100, unknown_code));
}

TEST(PositionScores, MasksLowComplexityOnly) {
    std::mt19937_64 random{4};
    auto query = test::random_protein(random, 400, 0);
    auto const mask = low_complexity_mask(query);
    EXPECT_LT(std::count(mask.begin(), mask.end(), true), 20);
    std::fill(query.begin() + 100, query.begin() + 140, static_cast<Residue>(amino_acids.find('Q')));
    auto const masked = low_complexity_mask(query);
    for (int i = 100; i < 140; ++i) EXPECT_TRUE(masked[i]);
    EXPECT_FALSE(masked[60]);
    EXPECT_FALSE(masked[200]);
    auto const scores = sequence_scores(query);
    for (int a = 0; a < residue_code_count; ++a) EXPECT_LE(scores.at(120, a), 0);
    EXPECT_TRUE(low_complexity_mask(std::vector<Residue>(5, 0)) == std::vector<bool>(5, false))
        << "shorter than a window";
}

TEST(PositionScores, RoundingClampsAndRepeatsUnknown) {
    PositionScores scores{1, std::vector<float>(residue_code_count, 3.4F)};
    scores.values[0] = 100, scores.values[unknown_code] = -1;
    auto const rounded = round_scores(scores, 4);
    EXPECT_EQ(rounded.at(0, 0), 127);
    EXPECT_EQ(rounded.at(0, 1), 14);
    for (int code = unknown_code; code < IntegerScores::row_width; ++code) EXPECT_EQ(rounded.at(0, code), -4);
}

} // namespace
} // namespace tape
