#include "align/profile.hpp"
#include "data/io.hpp"
#include "features/coevolution.hpp"
#include "features/coupling_kernel.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <random>

namespace tape {
namespace {

Msa alignment(std::vector<std::string> const& rows) {
    Msa msa;
    for (auto const& row : rows)
        msa.rows.push_back({.id = "r", .description = {}, .columns = encode_residues(row), .insertions = {}});
    return msa;
}

double largest(std::vector<float> const& values) {
    double result = 0;
    for (float const v : values) result = std::max(result, std::abs(static_cast<double>(v)));
    return result;
}

void expect_close(std::vector<float> const& found, nlohmann::json const& expected, double tolerance,
                  std::string const& what) {
    auto const values = expected.get<std::vector<float>>();
    ASSERT_EQ(found.size(), values.size()) << what;
    ASSERT_GT(largest(values), 0) << what;
    for (std::size_t i = 0; i < values.size(); ++i)
        EXPECT_NEAR(found[i], values[i], tolerance * largest(values)) << what << " at " << i;
}

TEST(Coevolution, EqualsThePublishedFormulas) {
    // tests/golden/make_feature_goldens.py: NumPy, explicit covariances. One case is shallower than 20 L, one deeper.
    auto const cases =
        nlohmann::json::parse(read_text(std::filesystem::path{TAPE_SOURCE_DIR} / "tests/golden/features_golden.json"));
    ASSERT_EQ(cases.size(), 2u);
    for (auto const& golden : cases) {
        Msa const msa = alignment(golden.at("rows").get<std::vector<std::string>>());
        auto const weights = identity_weights(msa);
        expect_close(weights, golden.at("weights"), 1e-6, "weights");
        expect_close(mutual_information(msa, weights), golden.at("mutual_information"), 1e-5, "mutual information");
        expect_close(average_product_correction(mutual_information(msa, weights), msa.length()),
                     golden.at("mutual_information_apc"), 1e-4, "APC");
        expect_close(mean_field_couplings(msa, weights), golden.at("direct_coupling"), 1e-6, "mean field");
        expect_close(shrunk_inverse_covariance(msa, weights), golden.at("inverse_covariance"), 1e-4,
                     "inverse covariance");
    }
}

TEST(Coevolution, KernelsAgree) {
    // Against the plain one; the golden test above runs whichever this machine would choose.
    std::mt19937 random{4};
    std::ptrdiff_t const length = 19, states = 21;
    for (std::ptrdiff_t const rank : {7, 60, 399, 450}) {
        std::vector<float> scaled(static_cast<std::size_t>(length * states * rank)), transform(20 * 21);
        for (float& v : scaled) v = std::normal_distribution<float>{0, 0.3f}(random);
        for (float& v : transform) v = std::normal_distribution<float>{}(random);
        auto const run = [&](CouplingKernel kernel) {
            std::vector<float> norms(static_cast<std::size_t>(length * length), -1.f);
            kernel({scaled.data(), transform.data(), norms.data(), length, states, rank});
            return norms;
        };
        auto const expected = run(coupling_norms_baseline), chosen = run(coupling_kernel());
        ASSERT_GT(largest(expected), 0);
        for (std::size_t p = 0; p < expected.size(); ++p)
            EXPECT_NEAR(chosen[p], expected[p], 1e-4 * largest(expected)) << rank;
    }
}

TEST(Coevolution, ABudgetTakesTheFirstRows) {
    auto const cases =
        nlohmann::json::parse(read_text(std::filesystem::path{TAPE_SOURCE_DIR} / "tests/golden/features_golden.json"));
    Msa const msa = alignment(cases[0].at("rows").get<std::vector<std::string>>());
    Msa first = msa;
    first.rows.resize(10);
    std::vector<float> const ones(msa.depth(), 1.f), few(10, 1.f);
    double const n = 20.0 * static_cast<double>(msa.length());
    EXPECT_EQ(mean_field_couplings(msa, ones, {.budget = n * n * 10}), mean_field_couplings(first, few));
    EXPECT_NE(mean_field_couplings(msa, ones), mean_field_couplings(first, few));
}

TEST(Coevolution, CoupledColumnsScoreHighest) {
    // Columns 2 and 17 change together, all others on their own.
    std::mt19937 random{1};
    std::size_t const length = 24;
    Msa msa;
    for (int r = 0; r < 400; ++r) {
        MsaRow row{.id = "r", .description = {}, .columns = std::vector<Residue>(length), .insertions = {}};
        for (auto& code : row.columns) code = static_cast<Residue>(random() % 20);
        row.columns[17] = static_cast<Residue>((row.columns[2] + 3) % 20);
        msa.rows.push_back(row);
    }
    std::vector<float> const weights(msa.depth(), 1.f);
    for (auto const& map : {mutual_information(msa, weights), mean_field_couplings(msa, weights),
                            shrunk_inverse_covariance(msa, weights)}) {
        auto const corrected = average_product_correction(map, length);
        EXPECT_EQ(std::ranges::max_element(corrected) - corrected.begin(), 2 * 24 + 17);
        for (std::size_t i = 0; i < length; ++i) {
            EXPECT_EQ(map[i * length + i], 0);
            for (std::size_t j = 0; j < length; ++j) EXPECT_EQ(map[i * length + j], map[j * length + i]);
        }
    }
}

TEST(Coevolution, StandardisedMapsHaveMeanZeroAndDeviationOne) {
    std::mt19937 random{2};
    std::size_t const length = 30;
    std::vector<float> map(length * length, 0.f);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j)
            map[i * length + j] = map[j * length + i] = std::normal_distribution<float>{3, 5}(random);
    auto const result = standardised(map, length, 6);
    double sum = 0, squares = 0, count = 0;
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 6; j < length; ++j)
            sum += result[i * length + j], squares += std::pow(result[i * length + j], 2), ++count;
    EXPECT_NEAR(sum / count, 0, 1e-5);
    EXPECT_NEAR(squares / count, 1, 1e-4);
    EXPECT_EQ(largest(standardised(std::vector<float>(length * length, 0.7f), length)), 0);
    EXPECT_EQ(largest(standardised(std::vector<float>(16, 0.7f), 4)), 0);
}

TEST(Coevolution, AProductMapVanishesUnderTheCorrectionUpToItsDiagonal) {
    // APC removes what is a product of row factors; with means over off-diagonal entries a constant map vanishes
    // exactly.
    std::size_t const length = 9;
    EXPECT_NEAR(largest(average_product_correction(std::vector<float>(length * length, 2.5f), length)), 0, 1e-6);
    EXPECT_EQ(average_product_correction(std::vector<float>{5.f}, 1), std::vector<float>{0.f});
}

} // namespace
} // namespace tape
