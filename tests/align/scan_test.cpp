#include "align/scan.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace tape {
namespace {

IntegerScores random_scores(std::mt19937_64& random, int length) {
    std::uniform_int_distribution<int> value(-12, 9);
    IntegerScores scores{length, 1,
                         std::vector<std::int8_t>(static_cast<std::size_t>(length) * IntegerScores::row_width)};
    for (auto& score : scores.values) score = static_cast<std::int8_t>(value(random));
    return scores;
}

std::vector<std::vector<Residue>> targets_of_many_lengths(std::mt19937_64& random) {
    std::vector<std::vector<Residue>> targets;
    for (std::size_t const length : {1, 2, 3, 15, 16, 17, 31, 32, 63, 64, 65, 127, 200, 200, 200, 201, 350, 1000})
        targets.push_back(test::random_protein(random, length));
    return targets;
}

TEST(Scan, EqualsReferenceOnEverySimdTarget) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{7};
    auto const database = test::make_database(scratch.path() / "t.tdb", targets_of_many_lengths(random));
    std::set<std::string> names;
    for (int const length :
         {1, 2, 15, 16, 17, 32, 33, 63, 64, 65, 100, 128, 129, 190, 192, 193, 300, 640, 641, 900, 1400, 1700}) {
        auto const query = random_scores(random, length);
        test::for_each_simd_target([&] {
            names.insert(simd_target());
            auto const scores = ungapped_scores(query, database);
            ASSERT_EQ(scores.size(), database.size());
            for (std::size_t t = 0; t < database.size(); ++t)
                EXPECT_EQ(scores[t], std::min(255, ungapped_score_reference(query, database.residues(t))))
                    << "query of " << length << ", target of " << database.residues(t).size();
        });
    }
    EXPECT_GE(names.size(), 2U) << "more than one target was exercised";
}

TEST(Scan, SaturatesAt255) {
    TemporaryDirectory const scratch;
    std::vector<Residue> const tryptophans(60, static_cast<Residue>(amino_acids.find('W')));
    auto const database = test::make_database(scratch.path() / "t.tdb", {tryptophans, {0, 1, 2}});
    auto const query =
        round_scores(sequence_scores(tryptophans, {.composition_bias = false, .mask_low_complexity = false}));
    EXPECT_EQ(ungapped_score_reference(query, database.residues(1)), 660);
    test::for_each_simd_target([&] { EXPECT_EQ(ungapped_scores(query, database)[1], 255); });
}

TEST(Scan, ThresholdScanFindsWhatTheScoresSay) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{11};
    for (std::size_t const length : {40, 64, 150, 230, 700, 1500}) {
        auto const query = test::random_protein(random, length, 0);
        std::vector<std::vector<Residue>> targets;
        for (int t = 0; t < 300; ++t)
            targets.push_back(t % 3 == 0 ? test::mutated(random, query, 0.6)
                                         : test::random_protein(random, 20 + 3 * t));
        auto const database = test::make_database(scratch.path() / "t.tdb", targets);
        auto const scores = sequence_scores(query);
        // Four units a half bit: fine enough for rounding to be no concern; the band of one half bit is left open.
        auto const fine = round_scores(scores, 4);
        auto const threshold = [](double target_length) { return 25 + std::log(target_length); };
        std::vector<double> excess;
        // All targets lie in one chunk, whose shortest decides its threshold.
        for (std::uint32_t t = 0; t < database.size(); ++t)
            excess.push_back(ungapped_score_reference(fine, database.residues(t)) / 4.0 -
                             threshold(static_cast<double>(database.residues(0).size())));
        test::for_each_simd_target([&] {
            auto const above = scan_above(scores, database, threshold);
            EXPECT_TRUE(std::ranges::is_sorted(above));
            std::size_t decided = 0;
            for (std::uint32_t t = 0; t < database.size(); ++t) {
                if (std::abs(excess[t]) < 2) continue;
                ++decided;
                EXPECT_EQ(std::ranges::binary_search(above, t), excess[t] > 0)
                    << "target " << t << ", excess " << excess[t];
            }
            EXPECT_GT(decided, 200U);
            EXPECT_GT(above.size(), 20U);
            EXPECT_LT(above.size(), database.size());
        });
    }
}

TEST(Scan, SubsetAndThreadsChangeNothing) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{13};
    std::vector<std::vector<Residue>> targets;
    for (int t = 0; t < 9000; ++t) targets.push_back(test::random_protein(random, 50 + t % 100));
    auto const database = test::make_database(scratch.path() / "t.tdb", targets);
    auto const scores = sequence_scores(test::random_protein(random, 170));
    auto const rounded = round_scores(scores);
    auto const one = ungapped_scores(rounded, database, 1);
    EXPECT_EQ(one, ungapped_scores(rounded, database, 2));
    EXPECT_EQ(one, ungapped_scores(rounded, database, 7));
    auto const threshold = [](double) { return 30.0; };
    auto const all = scan_above(scores, database, threshold, 1);
    EXPECT_EQ(all, scan_above(scores, database, threshold, 3));
    std::vector<std::uint32_t> every(database.size());
    std::iota(every.begin(), every.end(), 0U);
    EXPECT_EQ(scan_above(scores, database, every, threshold, 2), all);
    // Those that reached it, alone: thresholds follow the shortest of a chunk, which is now a longer one.
    auto const again = scan_above(scores, database, all, threshold);
    EXPECT_GE(again.size() + all.size() / 10, all.size());
    for (auto const place : again) EXPECT_LT(place, all.size());
    std::vector<std::uint32_t> const chosen{8999, 17, 4000, 17};
    auto const some = ungapped_scores(rounded, database, chosen);
    for (std::size_t i = 0; i < chosen.size(); ++i) EXPECT_EQ(some[i], one[chosen[i]]);
}

TEST(Scan, EmptyQueryFindsNothing) {
    TemporaryDirectory const scratch;
    auto const database = test::make_database(scratch.path() / "t.tdb", {{1, 2, 3}, {4}});
    EXPECT_EQ(ungapped_scores(round_scores(sequence_scores({})), database), (std::vector<std::uint8_t>{0, 0}));
    EXPECT_TRUE(scan_above(sequence_scores({}), database, [](double) { return 1.0; }).empty());
}

} // namespace
} // namespace tape
