#include "data/error.hpp"
#include "features/variant_scores.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tape {
namespace {

std::string const wild_type = "ACDEFGHIKLMNPQRSTVWYACDEFGHIKL";

Msa family() {
    std::mt19937 random{5};
    Msa msa = query_only_msa("q", wild_type, "test");
    for (int r = 0; r < 80; ++r) {
        std::string row = wild_type;
        for (std::size_t c = 3; c < row.size(); ++c) // the first three columns never change
            if (random() % 3 == 0) row[c] = amino_acids[random() % 20];
        msa.rows.push_back({.id = "r", .description = {}, .columns = encode_residues(row), .insertions = {}});
    }
    return msa;
}

std::string message_of(auto const& action) {
    try {
        action();
    } catch (data_error const& problem) {
        return problem.what();
    }
    return "none";
}

TEST(VariantScores, ReadsMutations) {
    EXPECT_EQ(parse_mutations("A104G:L12P"), (std::vector<Mutation>{{residue_code('A'), residue_code('G'), 103},
                                                                    {residue_code('L'), residue_code('P'), 11}}));
    EXPECT_EQ(parse_mutations("M0A", 0).front().column, 0u);
    EXPECT_TRUE(parse_mutations("").empty());
}

TEST(VariantScores, RefusesWhatIsNoMutation) {
    auto const message = [](std::string const& text) { return message_of([&] { (void)parse_mutations(text); }); };
    for (std::string const text : {"AG", "A", "A1x0G", "A-1G", "A99999999999999999999999G"})
        EXPECT_EQ(message(text),
                  "mutation '" + text + "': expected a residue, a position and a residue, such as A104G");
    EXPECT_EQ(message("A10"), "mutation 'A10': '0' is none of the 20 amino acids ACDEFGHIKLMNPQRSTVWY");
    EXPECT_EQ(message("10G"), "mutation '10G': '1' is none of the 20 amino acids ACDEFGHIKLMNPQRSTVWY");
    EXPECT_EQ(message("A5X"), "mutation 'A5X': 'X' is none of the 20 amino acids ACDEFGHIKLMNPQRSTVWY");
    EXPECT_EQ(message("A0G"), "mutation 'A0G': positions start at 1");
    EXPECT_EQ(message("A1G:"), "mutations end with ':'; expected another one, such as A104G");
    EXPECT_EQ(message(":A1G"), "mutation '': expected a residue, a position and a residue, such as A104G");
}

TEST(VariantScores, EqualTheirDefinitions) {
    Msa const msa = family();
    VariantScorer const scorer{msa};
    Profile const profile = make_profile(msa);
    PottsModel const model = fit_potts(msa, identity_weights(msa));
    auto const mutations = parse_mutations("A1G:L10P:W19F");
    auto const scores = scorer.score(mutations);
    double entropy = 0, log_odds = 0;
    std::vector<Residue> variant = msa.rows[0].columns;
    for (auto const& [from, to, column] : mutations) {
        auto const c = static_cast<Eigen::Index>(column);
        entropy += static_cast<double>(profile.entropy[column]) - std::log(20.0);
        log_odds += std::log(static_cast<double>(profile.frequencies(c, to) / profile.frequencies(c, from)));
        variant[column] = to;
    }
    EXPECT_NEAR(scores.entropy, entropy, 1e-5);
    EXPECT_NEAR(scores.log_odds, log_odds, 1e-5);
    EXPECT_NEAR(scores.potts, model.log_weight(variant) - model.log_weight(msa.rows[0].columns), 1e-4);
    EXPECT_LT(scores.log_odds, 0);
    EXPECT_EQ(VariantScorer(msa, {.potts = false}).score(mutations).potts, 0);
    EXPECT_EQ(scorer.score({}).potts, 0);
}

TEST(VariantScores, ConservedColumnsAreWorstToChange) {
    VariantScorer const scorer{family()};
    auto const conserved = scorer.score(parse_mutations("D3K")), variable = scorer.score(parse_mutations("D23K"));
    EXPECT_LT(conserved.entropy, variable.entropy);
    EXPECT_LT(conserved.log_odds, variable.log_odds);
    EXPECT_LT(conserved.potts, variable.potts);
}

TEST(VariantScores, WholeSequencesGiveTheSameMutations) {
    VariantScorer const scorer{family()};
    std::string variant = wild_type;
    variant[9] = 'P', variant[18] = 'F', variant[20] = 'X';
    auto const expected = parse_mutations("L10P:W19F");
    EXPECT_EQ(mutations_of(encode_residues(variant), scorer.query()), expected);
    EXPECT_EQ(mutations_of(encode_residues(variant.substr(2)), scorer.query()), expected);
    EXPECT_EQ(
        message_of([&] { (void)mutations_of(encode_residues("WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"), scorer.query()); }),
        "the variant (30 residues) does not lie on the query (30): fewer than 80% of its residues agree with it "
        "anywhere");
}

TEST(VariantScores, TheWildTypeMustMatch) {
    VariantScorer const scorer{family(), {.potts = false}};
    auto const message = [&](std::string const& text, std::size_t first) {
        return message_of([&] { (void)scorer.score(parse_mutations(text, first), first); });
    };
    EXPECT_EQ(message("L12P", 1), "mutation 'L12P': the query has N there, not L; positions count from 1 at "
                                  "the query's first residue");
    EXPECT_EQ(message("A100G", 100), "none");
    EXPECT_EQ(message("A31G", 1), "mutation 'A31G': the query ends at 30");
    EXPECT_EQ(message("A1G:A1C", 1), "mutation 'A1C': the variant has another mutation at this position");
}

TEST(VariantScores, TheWildTypeMayBeARelativeOfTheFirstRow) {
    Msa const msa = family();
    VariantScorer const scorer{msa, {.potts = true}};
    auto const model = std::make_shared<PottsModel const>(fit_potts(msa, identity_weights(msa)));
    std::string relative = wild_type;
    relative[3] = 'W';
    VariantScorer const other{msa, encode_residues(relative), model};
    auto const back = other.score(parse_mutations("W4E")), there = scorer.score(parse_mutations("E4W"));
    EXPECT_NEAR(back.log_odds, -there.log_odds, 1e-5);
    EXPECT_NEAR(back.potts, -there.potts, 1e-4);
    EXPECT_EQ(message_of([&] {
                  VariantScorer{msa, encode_residues("ACD"), nullptr};
              }),
              "the wild type has 3 residues, its alignment 30 columns");
}

} // namespace
} // namespace tape
