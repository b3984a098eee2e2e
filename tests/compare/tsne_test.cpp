#include "compare/random.hpp"
#include "compare/tsne.hpp"
#include "data/error.hpp"

#include "tests/compare/goldens.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <ctime>

namespace tape {
namespace {

std::vector<float> golden_points() { return test::goldens().at("tsne").at("points").get<std::vector<float>>(); }

/// 400 x 80: five overlapping groups with noise from a small generator (make_compare_goldens.py).
std::vector<float> wide_points() {
    std::vector<float> x(400UL * 80);
    std::uint32_t state = 1;
    for (std::size_t k = 0; k < x.size(); ++k) {
        state = 1664525U * state + 1013904223U;
        bool const raised = k / 80 % 5 == k % 80 % 5;
        x[k] = static_cast<float>((state >> 8) / 16777216.0 + (raised ? .5 : 0));
    }
    return x;
}

TEST(Tsne, DivergesWithinTwoPercentOfScikitLearns) {
    auto const& golden = test::goldens();
    double const grouped = golden.at("tsne").at("kl_divergence").get<double>();
    EXPECT_NEAR(tsne(golden_points(), 180, 10, {.perplexity = 20}).kl_divergence, grouped, .02 * grouped);
    double const wide = golden.at("tsne_of_wide_points").at("kl_divergence").get<double>();
    EXPECT_NEAR(tsne(wide_points(), 400, 80, {.perplexity = 30}).kl_divergence, wide, .02 * wide);
}

TEST(Tsne, ReportsTheDivergenceOfItsOwnMap) {
    constexpr std::size_t n = 180;
    auto const x = golden_points();
    auto const result = tsne(x, n, 10, {.perplexity = 20, .iterations = 300});
    auto const p = neighbourhoods(x, n, 10, 20);
    double normaliser = 0, divergence = 0;
    auto const affinity = [&](std::size_t i, std::size_t j) {
        double const dx = result.points[i][0] - result.points[j][0], dy = result.points[i][1] - result.points[j][1];
        return 1 / (1 + dx * dx + dy * dy);
    };
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) normaliser += i == j ? 0 : affinity(i, j);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
            double const joint = (static_cast<double>(p[i * n + j]) + p[j * n + i]) / (2 * n);
            if (i != j && joint > 0) divergence += joint * std::log(joint * normaliser / affinity(i, j));
        }
    EXPECT_NEAR(result.kl_divergence, divergence, 1e-4 * divergence);
}

TEST(Tsne, SeparatesTheClusters) {
    auto const result = tsne(golden_points(), 180, 10, {.perplexity = 20});
    int strangers = 0; // points whose nearest neighbour on the map is of another cluster
    for (std::size_t i = 0; i < 180; ++i) {
        std::size_t nearest = i;
        float least = INFINITY;
        for (std::size_t j = 0; j < 180; ++j) {
            float const dx = result.points[i][0] - result.points[j][0], dy = result.points[i][1] - result.points[j][1];
            if (j != i && dx * dx + dy * dy < least) least = dx * dx + dy * dy, nearest = j;
        }
        strangers += nearest / 60 != i / 60;
    }
    EXPECT_EQ(strangers, 0);
}

TEST(Tsne, HasTheSameBytesForAnyNumberOfThreads) {
    Random random{12};
    constexpr std::size_t n = 600, d = 5; // enough points for several threads to share a step
    std::vector<float> x(n * d);
    for (float& value : x) value = static_cast<float>(random.uniform());
    EXPECT_EQ(tsne(x, n, d, {.iterations = 60, .threads = 1}).points,
              tsne(x, n, d, {.iterations = 60, .threads = 3}).points);
}

TEST(Neighbourhoods, HaveThePerplexityAskedFor) {
    auto const x = golden_points();
    for (double const perplexity : {5.0, 20.0, 59.0}) {
        auto const p = neighbourhoods(x, 180, 10, perplexity);
        for (std::size_t i = 0; i < 180; ++i) {
            double entropy = 0, sum = 0;
            for (std::size_t j = 0; j < 180; ++j) {
                double const value = p[i * 180 + j];
                sum += value;
                if (value > 0) entropy -= value * std::log(value);
            }
            ASSERT_NEAR(sum, 1, 1e-6);
            ASSERT_NEAR(std::exp(entropy), perplexity, 1e-4 * perplexity);
            ASSERT_EQ(p[i * 180 + i], 0);
        }
    }
}

TEST(PrincipalComponents, OfAWideMatrixAgreeWithNumpysSingularValues) {
    auto const& golden = test::goldens().at("principal_components");
    constexpr std::size_t n = 60, d = 400;
    std::vector<float> x(n * d);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < d; ++j)
            x[i * d + j] = static_cast<float>(std::sin(.37 * static_cast<double>(i * (1 + j % 7))) /
                                                  static_cast<double>(1 + j % 5) +
                                              .01 * static_cast<double>(i * (j % 3)));
    auto const scores = principal_components(x, n, d, 5);
    for (std::size_t c = 0; c < 5; ++c) {
        double square = 0;
        for (std::size_t i = 0; i < n; ++i) square += static_cast<double>(scores[i * 5 + c]) * scores[i * 5 + c];
        double const expected = golden.at("squared_singular_values")[c].get<double>();
        EXPECT_NEAR(square, expected, 1e-4 * expected) << "component " << c;
    }
}

TEST(PrincipalComponents, ByIterationEqualThoseFromTheCovariance) {
    // The same points with and without columns of zeros, which push the width over the limit of the exact method.
    Random random{8};
    constexpr std::size_t n = 90, narrow = 12, wide = 300;
    std::vector<float> x(n * narrow), padded(n * wide);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < narrow; ++j)
            padded[i * wide + j] = x[i * narrow + j] =
                static_cast<float>((random.uniform() - .5) * std::pow(.6, static_cast<double>(j)));
    auto const exact = principal_components(x, n, narrow, 4), iterated = principal_components(padded, n, wide, 4);
    for (std::size_t k = 0; k < exact.size(); ++k) ASSERT_NEAR(exact[k], iterated[k], 2e-4) << k;
}

TEST(Tsne, SurvivesEqualPointsAndFewPoints) {
    std::vector<float> const same(40 * 3, 1.0F);
    for (auto const& point : tsne(same, 40, 3, {.iterations = 50}).points)
        EXPECT_TRUE(std::isfinite(point[0]) && std::isfinite(point[1]));
    auto const few = tsne(std::vector<float>{0, 1, 2, 10, 11, 12}, 6, 1, {.iterations = 50});
    EXPECT_DOUBLE_EQ(few.perplexity, 5.0 / 3);
}

TEST(Tsne, NamesTheValueThatIsNotFinite) {
    std::vector<float> x(30, 1.0F);
    x[3 * 4 + 2] = NAN;
    try {
        tsne(x, 10, 3);
        FAIL() << "no error";
    } catch (data_error const& problem) {
        EXPECT_STREQ(problem.what(), "t-SNE: feature 2 of point 4 is not a finite number");
    }
    EXPECT_THROW(tsne(x, 11, 3), error);
}

TEST(Tsne, TakesAThousandWidePointsInSeconds) {
    Random random{1};
    constexpr std::size_t n = 1000, d = 600;
    std::vector<float> x(n * d);
    for (float& value : x) value = static_cast<float>(random.uniform());
    std::clock_t const start = std::clock(); // of all threads; a busy machine does not count
    auto const result = tsne(x, n, d);
    double const seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    RecordProperty("cpu_seconds", std::to_string(seconds));
    EXPECT_EQ(result.points.size(), n);
    EXPECT_LT(seconds, 90) << "one second of processor time; the limit leaves room for sanitizers";
}

} // namespace
} // namespace tape
