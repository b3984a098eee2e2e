#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/random.hpp"
#include "learn/unirep_encoder.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <optional>

namespace tape {
namespace {

std::vector<Protein> proteins() {
    std::vector<Protein> all;
    for (auto const* residues :
         {"MKTAYIAKQR", "M", "GGXBUZO", "ACDEFGHIKLMNPQRSTVWYACDEFGHIKLMNPQRSTVWY", "MKTAYIWKQRLL"})
        all.push_back({"p" + std::to_string(all.size()), "", residues});
    return all;
}

double largest_difference(std::span<float const> values, Array const& expected) {
    auto const wanted = expected.as<double>();
    EXPECT_EQ(values.size(), wanted.size());
    double largest = 0;
    for (std::size_t i = 0; i < std::min(values.size(), wanted.size()); ++i)
        largest = std::max(largest, std::abs(values[i] - wanted[i]));
    return largest;
}
double largest_difference(FeatureMatrix const& values, Array const& expected) {
    return largest_difference(std::span{values.data(), static_cast<std::size_t>(values.size())}, expected);
}

/// Weights, and what the NumPy reference in tests/golden/make_learn_goldens.py says of them.
struct Case {
    char const *weights, *expected;
};
class Weights : public ::testing::TestWithParam<Case> {};

TEST_P(Weights, AgreeWithTheFloat64Reference) {
    auto const expected = read_npz(test::golden(GetParam().expected));
    UniRepEncoder encoder{load_unirep(test::golden(GetParam().weights)), {}};
    EXPECT_TRUE(encoder.unused_tensors().empty());
    auto const all = proteins();
    auto const embeddings = encoder.embed(all, {.rows = true, .pooled = true, .logits = true});
    auto const summaries = encoder.summarise(all);
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::string const n = std::to_string(i);
        EXPECT_LT(largest_difference(embeddings[i].rows, expected.at("rows" + n)), 2e-6) << i;
        EXPECT_LT(largest_difference(embeddings[i].logits, expected.at("logits" + n)), 2e-5) << i;
        EXPECT_LT(largest_difference(embeddings[i].pooled, expected.at("average" + n)), 2e-6) << i;
        EXPECT_LT(largest_difference(summaries[i].average_hidden, expected.at("average" + n)), 2e-6) << i;
        EXPECT_LT(largest_difference(summaries[i].final_hidden, expected.at("final" + n)), 2e-6) << i;
        EXPECT_LT(largest_difference(summaries[i].final_cell, expected.at("cell" + n)), 1e-5) << i;
        EXPECT_NEAR(summaries[i].mean_nll, expected.at("nll" + n).as<double>()[0], 1e-5) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(UniRep, Weights,
                         ::testing::Values(Case{"unirep_single.npz", "unirep_single_expected.npz"},
                                           Case{"unirep_stacked", "unirep_stacked_expected.npz"}));

/// A library of variants of one parent, some cut short, one of them twice.
std::vector<Protein> library() {
    Random random{11};
    std::string const parent = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGK";
    std::vector<Protein> all{{"parent", "", parent}, {"again", "", parent}};
    for (int i = 0; i < 60; ++i) {
        std::string variant = parent.substr(0, random.below(4) == 0 ? 5 + random.below(40) : parent.size());
        for (std::uint64_t changes = random.below(4); changes > 0; --changes)
            variant[random.below(variant.size())] = "ACDEFGHIKL"[random.below(10)];
        all.push_back({"v" + std::to_string(i), "", variant});
    }
    return all;
}

TEST(UniRepEncoder, SharedPrefixesBatchAndOrderChangeNothing) {
    auto const all = library();
    auto const weights = [] { return load_unirep(test::golden("unirep_stacked")); };
    UniRepEncoder together{weights(), {}}, alone{weights(), {.proteins = 1}}, some{weights(), {.proteins = 7}};
    EmbedRequest const request{.rows = true, .pooled = true, .logits = true};
    auto const a = together.embed(all, request), b = alone.embed(all, request);
    std::vector<Protein> reversed{all.rbegin(), all.rend()};
    auto const c = some.embed(reversed, request);
    auto const summaries = together.summarise(all), single = alone.summarise(all);
    for (std::size_t i = 0; i < all.size(); ++i) {
        auto const& turned = c[all.size() - 1 - i];
        ASSERT_EQ(a[i].rows.rows(), static_cast<Eigen::Index>(all[i].residues.size()));
        EXPECT_LT((a[i].rows - b[i].rows).cwiseAbs().maxCoeff(), 1e-6) << all[i].id;
        EXPECT_LT((a[i].rows - turned.rows).cwiseAbs().maxCoeff(), 1e-6) << all[i].id;
        EXPECT_LT((a[i].logits - b[i].logits).cwiseAbs().maxCoeff(), 1e-5) << all[i].id;
        EXPECT_LT((a[i].logits - turned.logits).cwiseAbs().maxCoeff(), 1e-5) << all[i].id;
        for (std::size_t k = 0; k < a[i].pooled.size(); ++k) EXPECT_NEAR(a[i].pooled[k], b[i].pooled[k], 1e-6);
        EXPECT_NEAR(summaries[i].mean_nll, single[i].mean_nll, 1e-5);
        EXPECT_EQ(summaries[i].final_cell.size(), 5U);
    }
}

TEST(UniRepEncoder, Bfloat16StaysNearFloat32) {
    auto const all = library();
    UniRepEncoder exact{drawn_unirep({.units = 64}, 3), {}},
        lowered{drawn_unirep({.units = 64}, 3), {.precision = at::kBFloat16}};
    auto const a = exact.embed(all, {.pooled = true}), b = lowered.embed(all, {.pooled = true});
    EXPECT_NE(exact.content_hash(), lowered.content_hash());
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t k = 0; k < a[i].pooled.size(); ++k)
            difference += std::pow(a[i].pooled[k] - b[i].pooled[k], 2), size += std::pow(a[i].pooled[k], 2);
    EXPECT_GT(difference, 0);
    EXPECT_LT(std::sqrt(difference / size), 0.02); // products have 8 bits
}

TEST(UniRep, TokensAreThePublishedOnes) {
    std::string const letters = "MRHKDESTNQCUGPAVIFYWLO";
    for (std::size_t i = 0; i < letters.size(); ++i) {
        EXPECT_EQ(UniRepTokenizer::token(letters[i]), static_cast<int>(i) + 1);
        EXPECT_EQ(UniRepTokenizer::token(static_cast<char>(letters[i] + 32)), static_cast<int>(i) + 1);
    }
    for (char const letter : std::string{"XZBJ"}) EXPECT_EQ(UniRepTokenizer::token(letter), 23);
}

TEST(UniRep, NamesTheArrayThatIsWrong) {
    test::Folder const folder;
    auto const message = [&](std::string const& name, std::optional<Array> const& replacement) -> std::string {
        std::filesystem::copy(test::golden("unirep_stacked"), folder / "w",
                              std::filesystem::copy_options::overwrite_existing |
                                  std::filesystem::copy_options::recursive);
        std::filesystem::remove(folder / "w" / (name + ".npy"));
        if (replacement) write_npy(folder / "w" / (name + ".npy"), *replacement);
        try {
            (void)load_unirep(folder / "w");
        } catch (data_error const& problem) {
            return problem.what();
        }
        return {};
    };
    std::string const gain = "rnn_mlstm_stack_mlstm_stack1_mlstm_stack1_gmx";
    std::vector<float> values(5, 1.0F);
    EXPECT_EQ(message(gain, Array::from(std::span<float const>{values}, {5})), "");
    EXPECT_NE(message(gain, std::nullopt).find("'mlstm.1.gmx' is missing"), std::string::npos);
    values[2] = std::nanf("");
    EXPECT_NE(message(gain, Array::from(std::span<float const>{values}, {5})).find("'mlstm.1.gmx' holds NaN"),
              std::string::npos);
    EXPECT_NE(
        message(gain, Array::from(std::span<float const>{values}.first(4), {4})).find("has shape [4], expected [5]"),
        std::string::npos);
    EXPECT_NE(message("embed_matrix", std::nullopt).find("'embedding' is missing"), std::string::npos);
}

// The official 64-unit weights may not be redistributed: name a folder with `npy/` and `oracle_64_weights.json` in
// TAPE_UNIREP64.
std::vector<std::string> oracle_folders() {
    char const* const folder = std::getenv("TAPE_UNIREP64");
    return folder ? std::vector<std::string>{folder} : std::vector<std::string>{};
}
class Official : public ::testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Official);

TEST_P(Official, WeightsAgreeWithTheOracle) {
    std::filesystem::path const folder{GetParam()};
    auto const oracle = nlohmann::json::parse(test::slurp(folder / "oracle_64_weights.json"));
    UniRepEncoder encoder{load_unirep(folder / "npy"), {}};
    std::vector<Protein> all;
    for (auto const& [id, entry] : oracle.items()) all.push_back({id, "", entry.at("sequence")});
    ASSERT_FALSE(all.empty());
    auto const summaries = encoder.summarise(all);
    double worst = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        auto const& entry = oracle.at(all[i].id);
        auto const compare = [&](std::vector<float> const& values, char const* name) {
            std::vector<double> const wanted = entry.at(name);
            ASSERT_EQ(values.size(), wanted.size());
            double difference = 0, size = 0;
            for (std::size_t k = 0; k < wanted.size(); ++k)
                difference = std::max(difference, std::abs(values[k] - wanted[k])),
                size = std::max(size, std::abs(wanted[k]));
            EXPECT_LT(difference / size, 1e-4) << all[i].id << ' ' << name;
            worst = std::max(worst, difference / size);
        };
        compare(summaries[i].average_hidden, "avg_hidden");
        compare(summaries[i].final_hidden, "final_hidden");
        compare(summaries[i].final_cell, "final_cell");
        double const nll = entry.at("mean_nll");
        EXPECT_NEAR(summaries[i].mean_nll, nll, 1e-4 * nll) << all[i].id;
        worst = std::max(worst, std::abs(summaries[i].mean_nll - nll) / nll);
    }
    std::cout << all.size() << " proteins, largest relative error " << worst << '\n';
}
INSTANTIATE_TEST_SUITE_P(UniRep, Official, ::testing::ValuesIn(oracle_folders()));

} // namespace
} // namespace tape
