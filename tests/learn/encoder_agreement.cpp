#include "tests/learn/encoder_agreement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace tape::test {
namespace {

void expect_near(std::span<float const> values, Array const& expected, std::string const& what) {
    auto const numbers = expected.as<float>();
    ASSERT_EQ(values.size(), numbers.size()) << what;
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(values[i]) - static_cast<double>(numbers[i])));
    EXPECT_LT(worst, 2e-5) << what;
}

std::span<float const> values_of(FeatureMatrix const& matrix) {
    return {matrix.data(), static_cast<std::size_t>(matrix.size())};
}

} // namespace

std::vector<Protein> agreement_proteins(bool with_long) {
    std::vector<Protein> proteins;
    for (char const* const residues : {"MKTAYIAKQR", "M", "GGXBUZOJ", "ACDEFGHIKLMNPQRSTVWYACDEFGHIK"})
        proteins.push_back({"p" + std::to_string(proteins.size()), "", residues});
    if (!with_long) return proteins;
    std::string residues;
    for (std::size_t i = 0; i < 300; ++i) residues += "ACDEFGHIKLMNPQRSTVWYXBUZO"[(i * i + 3 * i) % 25];
    proteins.push_back({"p4", "", residues});
    return proteins;
}

void expect_encoder_agrees(MaskedEncoder& encoder, std::map<std::string, Array> const& expected) {
    auto const proteins = agreement_proteins(expected.contains("tokens4"));
    auto const given = [&](bool has, EmbedRequest const& request) {
        return has ? encoder.embed(proteins, request) : std::vector<Embedding>(proteins.size());
    };
    auto const logits = encoder.embed(proteins, {.logits = true});
    auto const attentions = given(encoder.heads() > 0, {.attentions = true});
    auto const contacts = given(encoder.has_contact_head(), {.contacts = true});
    auto const poolers = given(encoder.has_pooler(), {.pooler = true});
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::string const n = std::to_string(i);
        auto const row = encoder.tokens(proteins[i]);
        auto const tokens = expected.at("tokens" + n).as<std::int64_t>();
        EXPECT_TRUE(std::ranges::equal(row, tokens)) << i;
        expect_near(values_of(logits[i].logits), expected.at("logits" + n), "logits " + n);
        if (encoder.heads() > 0) expect_near(attentions[i].attentions, expected.at("attentions" + n), "attention " + n);
        if (encoder.has_pooler()) expect_near(poolers[i].pooled, expected.at("pooler" + n), "pooling layer " + n);
        if (encoder.has_contact_head())
            expect_near(values_of(contacts[i].contacts), expected.at("contacts" + n), "contacts " + n);
    }
    for (int layer = 0; layer <= encoder.layers(); ++layer) {
        auto const rows = encoder.embed(proteins, {.rows = true, .layer = layer});
        for (std::size_t i = 0; i < proteins.size(); ++i)
            expect_near(values_of(rows[i].rows), expected.at("layer" + std::to_string(layer) + "_" + std::to_string(i)),
                        "layer " + std::to_string(layer) + " of " + std::to_string(i));
    }
}

} // namespace tape::test
