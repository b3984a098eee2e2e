#include "align/profile.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "features/coevolution.hpp"
#include "features/potts.hpp"
#include "features/potts_kernel.hpp"

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

nlohmann::json goldens() {
    return nlohmann::json::parse(
        read_text(std::filesystem::path{TAPE_SOURCE_DIR} / "tests/golden/features_golden.json"));
}

/// Rows that share columns' preferences; column 17 follows column 2.
Msa family(std::size_t depth, std::size_t length, unsigned seed) {
    std::mt19937 random{seed};
    std::vector<std::string> rows(depth, std::string(length, 'A'));
    for (auto& row : rows) {
        for (std::size_t c = 0; c < length; ++c)
            row[c] = random() % 12 == 0 ? '-' : amino_acids[(c + random() % (2 + c % 7)) % 20];
        row[17] = amino_acids[(amino_acids.find(row[2] == '-' ? 'A' : row[2]) + 3) % 20];
    }
    return alignment(rows);
}

void expect_close(std::vector<float> const& found, nlohmann::json const& expected, std::string const& what) {
    auto const values = expected.get<std::vector<float>>();
    ASSERT_EQ(found.size(), values.size()) << what;
    float largest = 0;
    for (float const v : values) largest = std::max(largest, std::abs(v));
    ASSERT_GT(largest, 0) << what;
    for (std::size_t k = 0; k < values.size(); ++k)
        EXPECT_NEAR(found[k], values[k], 1e-4f * largest) << what << " at " << k;
}

TEST(Potts, EqualsAnIndependentFit) {
    // tests/golden/make_feature_goldens.py: the same objective by SciPy in float64.
    for (auto const& golden : goldens()) {
        Msa const msa = alignment(golden.at("rows").get<std::vector<std::string>>());
        PottsModel model = fit_potts(msa, identity_weights(msa), {.tolerance = 1e-5});
        EXPECT_EQ(model.unfinished, 0u);
        expect_close({model.fields().begin(), model.fields().end()}, golden.at("potts_fields"), "fields");
        expect_close(coupling_norms(model), golden.at("potts_norms"), "norms");
        std::vector<float> weights;
        for (std::size_t r = 0; r < 5; ++r)
            weights.push_back(static_cast<float>(model.log_weight(msa.rows[r].columns)));
        expect_close(weights, golden.at("potts_log_weights"), "log weights");
    }
}

TEST(Potts, DefaultToleranceRanksAsATightOne) {
    Msa const msa = family(300, 24, 3);
    auto const weights = identity_weights(msa);
    auto const loose = coupling_norms(fit_potts(msa, weights)),
               tight = coupling_norms(fit_potts(msa, weights, {.tolerance = 1e-4}));
    float const largest = *std::ranges::max_element(tight);
    for (std::size_t k = 0; k < tight.size(); ++k) EXPECT_NEAR(loose[k], tight[k], 0.03f * largest);
}

TEST(Potts, CoupledColumnsScoreHighestAndTheMapIsSymmetric) {
    std::size_t const length = 24;
    Msa const msa = family(400, length, 1);
    auto const map = average_product_correction(coupling_norms(fit_potts(msa, std::vector<float>(400, 1.f))), length);
    EXPECT_EQ(std::ranges::max_element(map) - map.begin(), 2 * 24 + 17);
    for (std::size_t i = 0; i < length; ++i) {
        EXPECT_EQ(map[i * length + i], 0);
        for (std::size_t j = 0; j < length; ++j) EXPECT_EQ(map[i * length + j], map[j * length + i]);
    }
}

TEST(Potts, SumsOverStatesVanish) {
    PottsModel model = fit_potts(family(60, 19, 2), std::vector<float>(60, 1.f));
    for (std::size_t i = 0; i < 19; ++i) {
        float fields = 0;
        for (int a = 0; a < 21; ++a) fields += model.field(i, a);
        EXPECT_NEAR(fields, 0, 1e-4);
        for (std::size_t j = 0; j < 19; ++j)
            for (int a = 0; a < 21 && i != j; ++a) {
                float couplings = 0;
                for (int b = 0; b < 21; ++b) couplings += model.coupling(i, a, j, b);
                EXPECT_NEAR(couplings, 0, 1e-4);
                EXPECT_EQ(model.coupling(i, a, j, 3), model.coupling(j, 3, i, a));
            }
    }
}

TEST(Potts, SameBytesForAnyNumberOfThreads) {
    Msa const msa = family(150, 37, 5);
    auto const weights = identity_weights(msa);
    auto const expected = coupling_norms(fit_potts(msa, weights, {.threads = 1}));
    for (int const threads : {2, 7}) EXPECT_EQ(coupling_norms(fit_potts(msa, weights, {.threads = threads})), expected);
}

TEST(Potts, WeightsCountAsRows) {
    Msa const msa = family(50, 20, 7);
    Msa twice = msa;
    twice.rows.insert(twice.rows.end(), msa.rows.begin(), msa.rows.end());
    auto const expected = coupling_norms(fit_potts(msa, std::vector<float>(50, 2.f), {.tolerance = 1e-4})),
               found = coupling_norms(fit_potts(twice, std::vector<float>(100, 1.f), {.tolerance = 1e-4}));
    for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(found[k], expected[k], 1e-4);
}

TEST(Potts, OneRowAndOneColumn) {
    for (std::string const row : {"A", "AC", "ACDXY-KLMNPQRSTVW"}) {
        PottsModel const model = fit_potts(alignment({row}), std::vector<float>{1.f});
        EXPECT_EQ(model.unfinished, 0u) << row;
        for (float const v : coupling_norms(model)) EXPECT_TRUE(std::isfinite(v)) << row;
        auto const columns = encode_residues(row);
        EXPECT_GT(model.log_weight(columns), 0) << row; // likelier than the mean of all sequences
    }
    EXPECT_EQ(coupling_norms(fit_potts(Msa{}, {})).size(), 0u);
}

TEST(Potts, RefusesWhatDoesNotFit) {
    Msa const msa = family(10, 20, 7);
    std::vector<float> weights(10, 1.f);
    auto const message = [&](PottsOptions const& options) -> std::string {
        try {
            fit_potts(msa, weights, options);
        } catch (std::exception const& problem) {
            return (exit_code_of(problem) == exit_code::bad_data ? "3: " : "1: ") + std::string{problem.what()};
        }
        return "none";
    };
    EXPECT_EQ(message({.memory = 1000}),
              "3: potts: a model of 20 columns from 10 rows takes 0.00 GB, the limit is 0.00 GB; use mean-field "
              "couplings, fewer threads, or cut the alignment to a domain");
    weights[3] = 0;
    EXPECT_EQ(message({}), "1: potts: weight 4 is 0.000000, expected a positive number");
    weights.pop_back();
    EXPECT_EQ(message({}), "1: potts: 9 weights for 10 rows");
}

TEST(Potts, KernelsEqualAPlainReference) {
    std::mt19937 random{11};
    for (std::size_t const length : {1u, 16u, 35u}) {
        std::size_t const depth = 23, tiles = (length + potts_tile - 1) / potts_tile, slot = 21 * 24;
        std::vector<std::vector<std::size_t>> x(depth, std::vector<std::size_t>(length));
        std::vector<std::uint16_t> offsets(tiles * depth * potts_tile);
        for (std::size_t n = 0; n < depth; ++n)
            for (std::size_t c = 0; c < length; ++c) {
                x[n][c] = random() % 21;
                offsets[(c / potts_tile * depth + n) * potts_tile + c % potts_tile] =
                    static_cast<std::uint16_t>((c % potts_tile * 21 + x[n][c]) * 24);
            }
        std::normal_distribution<float> normal{0, 2};
        std::vector<float> parameters(length * slot), weights(depth), direction(depth * 24);
        for (std::size_t k = 0; k < parameters.size(); ++k) parameters[k] = k % 24 < 21 ? normal(random) : 0.f;
        for (std::size_t k = 0; k < direction.size(); ++k) direction[k] = k % 24 < 21 ? normal(random) : 0.f;
        for (float& w : weights) w = 0.1f + std::abs(normal(random));
        std::vector<std::uint8_t> own(depth);
        for (auto& state : own) state = static_cast<std::uint8_t>(random() % 21);
        PottsRows const rows{offsets.data(), weights.data(), static_cast<std::ptrdiff_t>(depth),
                             static_cast<std::ptrdiff_t>(length)};
        std::vector<float> field(depth * 24), residual(depth * 24), gradient(length * slot, 0.f);
        auto const kernels = potts_kernels();
        kernels.fields(rows, parameters.data(), field.data());
        auto const slope = kernels.residuals(rows, own.data(), field.data(), direction.data(), 0.3f, residual.data());
        kernels.gradient(rows, residual.data(), gradient.data());

        std::vector<double> expected_gradient(length * slot, 0.0);
        double first = 0, second = 0;
        for (std::size_t n = 0; n < depth; ++n) {
            std::vector<double> p(21, 0.0);
            double total = 0, mean = 0, square = 0;
            for (std::size_t a = 0; a < 21; ++a) {
                double sum = 0;
                for (std::size_t c = 0; c < length; ++c)
                    sum += static_cast<double>(parameters[c * slot + x[n][c] * 24 + a]);
                EXPECT_NEAR(field[n * 24 + a], sum, 1e-4);
                total += p[a] = std::exp(sum + 0.3 * static_cast<double>(direction[n * 24 + a]));
            }
            for (std::size_t a = 0; a < 21; ++a) {
                double const d = static_cast<double>(direction[n * 24 + a]), w = static_cast<double>(weights[n]);
                mean += p[a] / total * d, square += p[a] / total * d * d;
                double const r = w * (p[a] / total - (own[n] == a));
                EXPECT_NEAR(residual[n * 24 + a], r, 1e-5 * w + 1e-5) << n << ' ' << a;
                for (std::size_t c = 0; c < length; ++c) expected_gradient[c * slot + x[n][c] * 24 + a] += r;
            }
            first += static_cast<double>(weights[n]) * (mean - static_cast<double>(direction[n * 24 + own[n]]));
            second += static_cast<double>(weights[n]) * (square - mean * mean);
        }
        EXPECT_NEAR(slope.slope, first, 1e-4 * std::abs(first) + 1e-4);
        EXPECT_NEAR(slope.curvature, second, 1e-4 * second);
        for (std::size_t k = 0; k < gradient.size(); ++k) EXPECT_NEAR(gradient[k], expected_gradient[k], 1e-4);

        // The same bytes from every instruction set.
        std::vector<float> plain_field(field), plain_residual(residual), plain_gradient(length * slot, 0.f);
        auto const plain = potts_kernels_baseline();
        plain.fields(rows, parameters.data(), plain_field.data());
        plain.residuals(rows, own.data(), field.data(), direction.data(), 0.3f, plain_residual.data());
        plain.gradient(rows, plain_residual.data(), plain_gradient.data());
        EXPECT_EQ(plain_field, field);
        EXPECT_EQ(plain_residual, residual);
        EXPECT_EQ(plain_gradient, gradient);
    }
}

} // namespace
} // namespace tape
