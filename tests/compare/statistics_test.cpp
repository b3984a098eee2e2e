#include "compare/random.hpp"
#include "compare/statistics.hpp"
#include "data/error.hpp"

#include "tests/compare/goldens.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace tape {
namespace {

using Doubles = std::vector<double>;

double normal(Random& random) {
    return std::sqrt(-2 * std::log(std::max(random.uniform(), 1e-300))) *
           std::cos(2 * std::numbers::pi * random.uniform());
}

ResamplingOptions quick(int resamples, std::uint64_t seed = 1, int threads = 2) {
    ResamplingOptions options;
    options.resamples = resamples;
    options.seed = seed;
    options.threads = threads;
    return options;
}

Interval interval_of(ExampleScores const& scores, ResamplingOptions const& options) {
    ScoreTable const table{{scores}};
    return percentile_interval(evaluate(scores), bootstrap({&table, 1}, options)[0][0], options.level);
}

TEST(Holm, GivesTheTextbookExample) {
    // Four tests: p = .01, .04, .03, .005 are adjusted to .03, .06, .06, .02 (the worked example of Holm's procedure).
    auto const adjusted = holm(Doubles{.01, .04, .03, .005});
    Doubles const expected{.03, .06, .06, .02};
    for (std::size_t i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(adjusted[i], expected[i]);
    EXPECT_DOUBLE_EQ(holm(Doubles{.6, .7})[1], 1) << "never above one, never below the one before";
    auto const with_gap = holm(Doubles{.01, NAN, .04});
    EXPECT_DOUBLE_EQ(with_gap[0], .02);
    EXPECT_TRUE(std::isnan(with_gap[1]));
}

TEST(SignFlip, AgreesWithScipysPermutationTest) {
    for (auto const& golden : test::goldens().at("sign_flip")) {
        auto const differences = golden.at("differences").get<Doubles>();
        ResamplingOptions options;
        options.permutations = 20000;
        double const p = sign_flip_test(differences, options);
        if (golden.at("exact").get<bool>())
            EXPECT_DOUBLE_EQ(p, golden.at("p").get<double>())
                << differences.size() << " differences, all " << (1 << differences.size()) << " swaps";
        else // two Monte-Carlo estimates of one p: four standard errors of theirs
            EXPECT_NEAR(p, golden.at("p").get<double>(), 4 * std::sqrt(p * (1 - p) * (1 / 20000.0 + 1 / 99999.0)));
    }
}

/// The difference called detectable is found in about four of five test sets that have it.
TEST(SignFlip, FindsADetectableDifferenceWithEightyPercentPower) {
    Random random{8};
    ResamplingOptions options;
    options.permutations = 499;
    int found = 0;
    for (int trial = 0; trial < 500; ++trial) {
        Doubles differences(100);
        for (double& d : differences) d = .28 + normal(random); // 2.8 standard errors of .1
        options.seed = static_cast<std::uint64_t>(trial);
        found += sign_flip_test(differences, options) < .05;
    }
    EXPECT_NEAR(found / 500.0, .8, .055); // three standard errors
}

TEST(SignFlip, HoldsItsLevelUnderTheNull) {
    Random random{5};
    ResamplingOptions options;
    options.permutations = 999;
    int rejected = 0;
    for (int trial = 0; trial < 600; ++trial) {
        Doubles differences(40);
        for (double& d : differences) d = normal(random);
        options.seed = static_cast<std::uint64_t>(trial);
        rejected += sign_flip_test(differences, options) < .05;
    }
    EXPECT_NEAR(rejected / 600.0, .05, .03); // three standard errors
    EXPECT_EQ(sign_flip_test(Doubles(50, 0.0), options), 1);
    EXPECT_DOUBLE_EQ(sign_flip_test(Doubles(50, 1.0), options), 1.0 / 1000) << "the least a sampled test can say";
}

TEST(Bootstrap, AgreesWithScipysPercentileIntervals) {
    auto const& golden = test::goldens().at("bootstrap");
    auto const check = [&](MetricKind kind, char const* first, char const* second, char const* name) {
        ExampleScores const scores{kind, golden.at(first).get<Doubles>(), golden.at(second).get<Doubles>()};
        auto const found = interval_of(scores, quick(20000));
        double const width = golden.at(name)[1].get<double>() - golden.at(name)[0].get<double>();
        EXPECT_NEAR(found.low, golden.at(name)[0].get<double>(), .03 * width) << name;
        EXPECT_NEAR(found.high, golden.at(name)[1].get<double>(), .03 * width) << name;
    };
    check(MetricKind::spearman, "x", "y", "spearman");
    check(MetricKind::pearson, "x", "y", "pearson");
    check(MetricKind::ratio, "correct", "total", "ratio");
}

/// Resampling by multiplicities must equal the metric of the examples written out, ties and all.
TEST(Bootstrap, EveryReplicateIsTheMetricOfItsExamples) {
    Random random{11};
    ExampleScores scores{MetricKind::spearman, {}, {}};
    for (int i = 0; i < 50; ++i) {
        scores.first.push_back(static_cast<double>(random.below(9)));
        scores.second.push_back(scores.first.back() + static_cast<double>(random.below(6)));
    }
    auto const options = quick(200, 17);
    for (auto const kind : {MetricKind::spearman, MetricKind::pearson, MetricKind::ratio}) {
        scores.kind = kind;
        ScoreTable const table{{scores}};
        auto const replicates = bootstrap({&table, 1}, options)[0][0];
        for (std::uint64_t b = 0; b < replicates.size(); ++b) {
            Random draws{options.seed, b}; // the draws of resample b, as documented
            ExampleScores written{kind, {}, {}};
            for (std::size_t i = 0; i < scores.first.size(); ++i) {
                auto const chosen = draws.below(50);
                written.first.push_back(scores.first[chosen]);
                written.second.push_back(scores.second[chosen]);
            }
            ASSERT_NEAR(replicates[b], evaluate(written), 1e-12) << b;
        }
    }
}

TEST(Bootstrap, CoversTheTruthAboutNineteenTimesInTwenty) {
    // 120 proteins of 30 residues whose accuracies differ; the truth is the mean accuracy, .7. Were residues resampled
    // instead of proteins, the intervals would be too narrow by a factor of about 2.5 and cover well below 80%.
    Random random{23};
    int covered = 0, covered_by_residues = 0;
    constexpr int trials = 300;
    for (int trial = 0; trial < trials; ++trial) {
        ExampleScores proteins{MetricKind::ratio, {}, {}}, residues{MetricKind::ratio, {}, {}};
        for (int p = 0; p < 120; ++p) {
            double const accuracy = std::min(1.0, std::max(0.0, .7 + .2 * (2 * random.uniform() - 1)));
            double right = 0;
            for (int r = 0; r < 30; ++r) {
                double const hit = random.uniform() < accuracy;
                right += hit;
                residues.first.push_back(hit);
                residues.second.push_back(1);
            }
            proteins.first.push_back(right);
            proteins.second.push_back(30);
        }
        auto const by_protein = interval_of(proteins, quick(400, static_cast<std::uint64_t>(trial)));
        covered += by_protein.low <= .7 && .7 <= by_protein.high;
        auto const by_residue = interval_of(residues, quick(100, static_cast<std::uint64_t>(trial)));
        covered_by_residues += by_residue.low <= .7 && .7 <= by_residue.high;
    }
    EXPECT_GT(covered, .91 * trials);
    EXPECT_LT(covered, .985 * trials);
    EXPECT_LT(covered_by_residues, covered);
}

TEST(Bootstrap, SeedsWidenTheInterval) {
    // Three seeds that differ by far more than the examples do: the interval must span them.
    ExampleScores low{MetricKind::ratio, Doubles(500, .2), Doubles(500, 1.0)}, middle = low, high = low;
    middle.first.assign(500, .3);
    high.first.assign(500, .4);
    ScoreTable const table{{low, middle, high}, {middle}};
    auto const replicates = bootstrap({&table, 1}, quick(2000))[0];
    auto const spread = percentile_interval(.3, replicates[0], .95);
    EXPECT_LT(spread.low, .235);
    EXPECT_GT(spread.high, .365);
    auto const single = percentile_interval(.3, replicates[1], .95);
    EXPECT_NEAR(single.high - single.low, 0, 1e-12);
}

TEST(Bootstrap, PairsArmsByExampleAndSeed) {
    // b is a with every answer of every seed worse by .05: the difference has no spread at all although a and b have.
    Random random{2};
    ScoreTable table(2);
    for (int seed = 0; seed < 3; ++seed) {
        ExampleScores a{MetricKind::ratio, {}, Doubles(80, 1.0)};
        for (int i = 0; i < 80; ++i) a.first.push_back(random.uniform() + .1 * seed);
        ExampleScores b = a;
        for (double& value : b.first) value -= .05;
        table[0].push_back(a);
        table[1].push_back(b);
    }
    auto const replicates = bootstrap({&table, 1}, quick(300))[0];
    for (std::size_t r = 0; r < 300; ++r) ASSERT_NEAR(replicates[0][r] - replicates[1][r], .05, 1e-12);
    auto const interval = percentile_interval(0, replicates[0], .95);
    EXPECT_GT(interval.high - interval.low, .05);
}

TEST(Bootstrap, HasTheSameBytesForAnyNumberOfThreads) {
    Random random{9};
    ExampleScores scores{MetricKind::spearman, {}, {}};
    for (int i = 0; i < 300; ++i) scores.first.push_back(normal(random)), scores.second.push_back(normal(random));
    ScoreTable const table{{scores}, {scores}};
    EXPECT_EQ(bootstrap({&table, 1}, quick(100, 4, 1)), bootstrap({&table, 1}, quick(100, 4, 3)));
    EXPECT_NE(bootstrap({&table, 1}, quick(100, 4)), bootstrap({&table, 1}, quick(100, 5)));
}

TEST(Bootstrap, RefusesRunsOfUnequalLength) {
    ScoreTable const table{{ExampleScores{MetricKind::ratio, {1}, {1}}},
                           {ExampleScores{MetricKind::ratio, {1, 1}, {1, 1}}}};
    EXPECT_THROW(bootstrap({&table, 1}, quick(10)), error);
}

TEST(PercentileInterval, InterpolatesAndLeavesOutTheUndefined) {
    Doubles values;
    for (int i = 0; i <= 100; ++i) values.push_back(i);
    auto const interval = percentile_interval(50, values, .9);
    EXPECT_NEAR(interval.low, 5, 1e-12);
    EXPECT_NEAR(interval.high, 95, 1e-12);
    values.insert(values.end(), 20, NAN);
    EXPECT_NEAR(percentile_interval(50, values, .9).low, 5, 1e-12);
    values.insert(values.end(), 100, NAN);
    EXPECT_TRUE(std::isnan(percentile_interval(50, values, .9).low)) << "more than half undefined";
    EXPECT_TRUE(std::isnan(percentile_interval(NAN, {1, 2, 3}, .9).high));
}

TEST(PairedContributions, SumToTheDifferenceOfTheMetrics) {
    Random random{31};
    for (auto const kind : {MetricKind::ratio, MetricKind::spearman, MetricKind::pearson}) {
        std::vector<ExampleScores> a(2, {kind, {}, {}}), b(3, {kind, {}, {}});
        for (int i = 0; i < 60; ++i) {
            double const second = kind == MetricKind::ratio ? 1 + random.below(9) : normal(random);
            for (auto* arm : {&a, &b})
                for (auto& run : *arm)
                    run.second.push_back(second), run.first.push_back(std::round(4 * normal(random)) + .2 * second);
        }
        double const direct =
            (evaluate(a[0]) + evaluate(a[1])) / 2 - (evaluate(b[0]) + evaluate(b[1]) + evaluate(b[2])) / 3;
        double sum = 0;
        for (double const c : paired_contributions(a, b)) sum += c;
        EXPECT_NEAR(sum, direct, 1e-12);
    }
}

} // namespace
} // namespace tape
