#include "data/io.hpp"
#include "data/temporary.hpp"
#include "features/alignment_features.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <numeric>

namespace tape {
namespace {

Msa const msa = [] {
    Msa alignment;
    for (auto const* row : {"ACDEFGHIKL", "ACDEYGHIRL", "AC--YGHIRL"})
        alignment.rows.push_back({.id = row, .description = {}, .columns = encode_residues(row), .insertions = {}});
    return alignment;
}();

TEST(AlignmentFeatures, NpzReadsBackWithNamesAndShapes) {
    TemporaryDirectory const folder;
    auto const file = folder.path() / "x.features.npz";
    write_alignment_features(file, alignment_features(msa, {.coevolution = true, .potts = true}));
    auto const arrays = read_npz(file);
    using Shape = std::vector<std::size_t>;
    std::map<std::string, Shape> const expected{{"residues", {10}},
                                                {"alignment", {3, 10}},
                                                {"counts", {10, 20}},
                                                {"frequencies", {10, 20}},
                                                {"scores", {10, 20}},
                                                {"entropy", {10}},
                                                {"gap_fraction", {10}},
                                                {"neff_column", {10}},
                                                {"neff", {2}},
                                                {"weights", {3}},
                                                {"identity_weights", {3}},
                                                {"mutual_information", {10, 10}},
                                                {"direct_coupling", {10, 10}},
                                                {"inverse_covariance", {10, 10}},
                                                {"potts_coupling", {10, 10}},
                                                {"conservation", {10}},
                                                {"insertion_rate", {10}},
                                                {"gap_rate", {10}},
                                                {"relative_depth", {10}}};
    ASSERT_EQ(arrays.size(), expected.size());
    for (auto const& [name, shape] : expected) EXPECT_EQ(arrays.at(name).shape, shape) << name;
    EXPECT_EQ(arrays.at("alignment").as<std::uint8_t>()[22], gap_code);
    Profile const profile = make_profile(msa);
    EXPECT_EQ(arrays.at("scores").as<float>()[25], profile.scores(1, 5));
    EXPECT_FLOAT_EQ(arrays.at("neff").as<float>()[0], profile.neff_identity);
    EXPECT_FLOAT_EQ(arrays.at("neff").as<float>()[1], profile.neff_entropy);
    auto const weights = arrays.at("weights").as<float>();
    EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 3, 1e-5);
}

TEST(AlignmentFeatures, SingleMapsEqualThoseOfAll) {
    auto const all = alignment_features(msa, {.alignment = false, .coevolution = true});
    auto const some = alignment_features(msa, {.alignment = false, .mutual_information = true, .mean_field = true});
    ASSERT_EQ(some.size() + 1, all.size());
    EXPECT_EQ(some.back().first, "direct_coupling");
    for (std::size_t k = 0; k < some.size(); ++k) {
        EXPECT_EQ(some[k].first, all[k].first);
        EXPECT_EQ(some[k].second.bytes, all[k].second.bytes) << some[k].first;
    }
}

TEST(AlignmentFeatures, JsonHoldsTheSameNumbers) {
    TemporaryDirectory const folder;
    auto const file = folder.path() / "x.features.json";
    auto const features = alignment_features(msa, {.alignment = false});
    write_alignment_features(file, features);
    auto const json = nlohmann::json::parse(read_text(file));
    EXPECT_FALSE(json.contains("alignment"));
    EXPECT_FALSE(json.contains("direct_coupling"));
    EXPECT_EQ(json.size(), features.size());
    EXPECT_EQ(json.at("frequencies").size(), 10u);
    EXPECT_EQ(json.at("frequencies")[4].size(), 20u);
    Profile const profile = make_profile(msa);
    EXPECT_FLOAT_EQ(json.at("frequencies")[4][19].get<float>(), profile.frequencies(4, 19));
    EXPECT_EQ(json.at("residues")[2], 2);
}

} // namespace
} // namespace tape
