#include "align/gapped_scan.hpp"
#include "align/statistics.hpp"

#include "tests/align/random_proteins.hpp"

#include <cmath>
#include <numeric>

namespace tape {
namespace {

TEST(GappedScan, PassesWhatTheReferenceScoresAtOrAboveTheThreshold) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{17};
    for (std::size_t const length : {1, 30, 150, 400}) {
        auto const query = test::random_protein(random, length, 0.02);
        std::vector<std::vector<Residue>> proteins;
        for (int t = 0; t < 330; ++t)
            proteins.push_back(t % 2 == 0 ? test::mutated(random, query, 0.001 * t + 0.1)
                                          : test::random_protein(random, 1 + static_cast<std::size_t>(t)));
        auto const database = test::make_database(scratch.path() / "t.tdb", proteins);
        std::vector<std::uint32_t> odd; // a subset, in several batches
        for (std::uint32_t t = 1; t < database.size(); t += 2) odd.push_back(t);
        auto const scores = sequence_scores(query);
        // At these thresholds, 128 units, one, two and four units are a half bit: gap costs are whole and nothing is
        // rounded that the reference does not round.
        for (double const threshold : {128.0, 64.0, 32.0}) {
            auto const rounded = round_scores(scores, 128 / threshold);
            std::vector<std::uint32_t> expected;
            for (auto const t : odd)
                if (gapped_score_reference(rounded, database.residues(t)) >= 128) expected.push_back(t);
            test::for_each_simd_target([&] {
                for (int const threads : {1, 3})
                    EXPECT_EQ(gapped_above(
                                  scores, database, odd, [&](double) { return threshold; }, threads),
                              expected)
                        << "query of " << length << ", threshold " << threshold;
            });
            if (length >= 150) {
                EXPECT_GT(expected.size(), 10U);
                EXPECT_LT(expected.size(), odd.size());
            }
        }
    }
}

TEST(GappedScan, LetsPassTheShareOfRandomSequencesThatItsThresholdSays) {
    TemporaryDirectory const scratch;
    std::mt19937_64 random{19};
    std::vector<std::vector<Residue>> proteins;
    for (int t = 0; t < 20000; ++t) proteins.push_back(test::random_protein(random, 100 + t % 200, 0));
    auto const database = test::make_database(scratch.path() / "t.tdb", proteins);
    std::vector<std::uint32_t> all(database.size());
    std::iota(all.begin(), all.end(), 0U);
    constexpr double p = 0.01;
    double passed = 0;
    for (int q = 0; q < 5; ++q) {
        auto const query = test::random_protein(random, 150, 0);
        auto const threshold = [](double length) { return gapped_threshold(150, length, p); };
        passed += static_cast<double>(gapped_above(sequence_scores(query), database, all, threshold).size());
    }
    double const share = passed / 5 / static_cast<double>(database.size());
    EXPECT_GT(share, p / 2);
    EXPECT_LT(share, p * 3) << "gap costs are rounded down";
}

TEST(GappedScan, NothingPassesForNoQueryAndOfNoTargets) {
    TemporaryDirectory const scratch;
    auto const database = test::make_database(scratch.path() / "t.tdb", {{1, 2, 3}, {4}});
    std::vector<std::uint32_t> const both{0, 1};
    auto const threshold = [](double) { return 1.0; };
    EXPECT_TRUE(gapped_above(sequence_scores({}), database, both, threshold).empty());
    std::vector<Residue> const query{1, 2, 3};
    EXPECT_TRUE(gapped_above(sequence_scores(query), database, {}, threshold).empty());
    EXPECT_EQ(gapped_above(sequence_scores(query, {.composition_bias = false, .mask_low_complexity = false}), database,
                           both, threshold),
              (std::vector<std::uint32_t>{1}))
        << "sorted by length, the triple is the second";
}

} // namespace
} // namespace tape
