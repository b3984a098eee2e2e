#include "align/gapped.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>

namespace tape {
namespace {

constexpr SequenceScoreOptions plain{.composition_bias = false, .mask_low_complexity = false};

void expect_consistent(Alignment const& alignment, IntegerScores const& query, std::span<Residue const> target,
                       GapCosts gaps) {
    EXPECT_EQ(score_of(alignment, query, target, gaps), alignment.score);
    auto const& operations = alignment.operations;
    EXPECT_EQ(std::ranges::count_if(operations, [](char o) { return o != 'I'; }),
              alignment.query_end - alignment.query_begin);
    EXPECT_EQ(std::ranges::count_if(operations, [](char o) { return o != 'D'; }),
              alignment.target_end - alignment.target_begin);
    if (!operations.empty()) {
        EXPECT_EQ(operations.front(), 'M');
        EXPECT_EQ(operations.back(), 'M');
    }
}

TEST(Gapped, EqualsReferenceOnEverySimdTarget) {
    std::mt19937_64 random{3};
    std::uniform_int_distribution<std::size_t> length(1, 420);
    for (int trial = 0; trial < 250; ++trial) {
        auto const protein = test::random_protein(random, length(random));
        auto const target = trial % 4 == 0 ? test::random_protein(random, length(random))
                                           : test::mutated(random, protein, 0.1 * (trial % 7));
        GapCosts const gaps = trial % 5 == 0 ? GapCosts{3, 1} : trial % 5 == 1 ? GapCosts{0, 2} : GapCosts{};
        auto const query = round_scores(sequence_scores(protein, plain), trial % 3 == 0 ? 4 : 1);
        int const expected = gapped_score_reference(query, target, gaps);
        test::for_each_simd_target([&] {
            GappedAligner const aligner{query, gaps};
            GappedAligner::Workspace workspace;
            EXPECT_EQ(aligner.score(target, workspace), expected) << "trial " << trial;
            auto const alignment = aligner.align(target, workspace);
            EXPECT_EQ(alignment.score, expected) << "trial " << trial;
            expect_consistent(alignment, query, target, gaps);
        });
    }
}

TEST(Gapped, GapOfNCostsOpenPlusNTimesExtend) {
    // Twenty tryptophans around three deleted residues: 20 x 11 - (11 + 3).
    std::vector<Residue> target(20, static_cast<Residue>(amino_acids.find('W')));
    std::vector<Residue> query = target;
    query.insert(query.begin() + 10, 3, static_cast<Residue>(amino_acids.find('G')));
    GappedAligner const aligner{round_scores(sequence_scores(query, plain))};
    GappedAligner::Workspace workspace;
    auto const alignment = aligner.align(target, workspace);
    EXPECT_EQ(alignment.score, 220 - 14);
    EXPECT_EQ(alignment.operations, "MMMMMMMMMMDDDMMMMMMMMMM");
    EXPECT_EQ(alignment.query_end, 23);
    EXPECT_EQ(alignment.target_end, 20);
}

TEST(Gapped, WidensWhenScoresOutgrowTheCells) {
    std::mt19937_64 random{5};
    auto const protein =
        test::random_protein(random, 16000, 0); // about 82,000 half bits against itself: beyond 16 bits
    auto relative = protein;
    relative.erase(relative.begin() + 8000, relative.begin() + 8030);
    auto const query = round_scores(sequence_scores(protein, plain));
    GappedAligner const aligner{query};
    GappedAligner::Workspace workspace;
    auto const alignment = aligner.align(relative, workspace);
    int own = 0;
    for (int i = 0; i < static_cast<int>(relative.size()); ++i) own += query.at(i < 8000 ? i : i + 30, relative[i]);
    EXPECT_GT(alignment.score, 65535);
    EXPECT_GE(alignment.score, own - 11 - 30);
    expect_consistent(alignment, query, relative, {});
    EXPECT_EQ(aligner.score(relative, workspace), alignment.score);
}

TEST(Gapped, NothingAlignsWithNothing) {
    GappedAligner::Workspace workspace;
    GappedAligner const empty{round_scores(sequence_scores({}))};
    std::vector<Residue> const target{1, 2, 3};
    EXPECT_EQ(empty.score(target, workspace), 0);
    std::vector<Residue> const unknown(50, unknown_code);
    GappedAligner const all_unknown{round_scores(sequence_scores(unknown))};
    EXPECT_EQ(all_unknown.score(target, workspace), 0);
    EXPECT_TRUE(all_unknown.align(target, workspace).operations.empty());
    EXPECT_EQ(all_unknown.score({}, workspace), 0);
}

} // namespace
} // namespace tape
