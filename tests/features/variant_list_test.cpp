#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"
#include "features/variant_list.hpp"

#include <gtest/gtest.h>

#include <random>
#include <sstream>

namespace tape {
namespace {

class VariantListFile : public ::testing::Test {
  protected:
    VariantList read(std::string const& text, VariantListOptions const& options = {}) const {
        write_text(file(), text);
        return read_variant_list(file(), options);
    }
    [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "list"; }

    /// The whole chain, with the folder cut off.
    std::string message_of(auto const& action) const {
        try {
            action();
        } catch (data_error const& problem) {
            std::string text = describe(problem);
            for (std::size_t at; (at = text.find(folder_.path().string() + "/")) != std::string::npos;)
                text.erase(at, folder_.path().string().size() + 1);
            return text;
        }
        return "none";
    }
    std::string message(std::string const& text, VariantListOptions const& options = {}) const {
        return message_of([&] { (void)read(text, options); });
    }

    TemporaryDirectory folder_;
};

TEST_F(VariantListFile, PlainLists) {
    auto const list = read("# ours\nA1G\r\n\nA1G:C2D\nwt");
    ASSERT_EQ(list.variants.size(), 3u);
    EXPECT_FALSE(list.measured);
    EXPECT_EQ(list.variants[0].mutations, parse_mutations("A1G"));
    EXPECT_EQ(list.variants[1].mutations, parse_mutations("A1G:C2D"));
    EXPECT_EQ(list.variants[1].line, 4u);
    EXPECT_TRUE(list.variants[2].mutations.empty());
    EXPECT_EQ(read("variant\nA1G\n").variants.size(), 1u);
    auto const measured = read("A1G\t1.5\nWT\t-2\nA1G:C2D\tNA\n");
    EXPECT_TRUE(measured.measured);
    EXPECT_EQ(measured.variants[0].measured, 1.5);
    EXPECT_EQ(measured.variants[1].measured, -2);
    EXPECT_EQ(measured.variants[2].measured, std::nullopt);
    EXPECT_EQ(read("A101G\n", {.first_position = 101, .measured_column = {}}).variants[0].mutations[0].column, 0u);
}

TEST_F(VariantListFile, Tables) {
    // As ProteinGym writes them.
    auto const gym = read("mutant,mutated_sequence,DMS_score,DMS_score_bin\nA1G,GC,-1.5,0\n\"A1G:C2D\",GD,,1\n");
    EXPECT_TRUE(gym.measured);
    EXPECT_EQ(gym.variants[0].measured, -1.5);
    EXPECT_EQ(gym.variants[1].measured, std::nullopt);
    EXPECT_EQ(gym.variants[1].mutations.size(), 2u);
    auto const named = read("\xEF\xBB\xBFQuery\tMutations\tlog brightness\nq\tA1G\t2e-1\n",
                            {.first_position = 1, .measured_column = "log brightness"});
    EXPECT_EQ(named.variants[0].query, "q");
    EXPECT_EQ(named.variants[0].measured, 0.2);
    EXPECT_FALSE(read("mutant,other\nA1G,5\n").measured);
}

TEST_F(VariantListFile, WhatIsWrongIsNamed) {
    EXPECT_EQ(message(""), "list: no variant; expected one a line, such as A104G:L12P");
    EXPECT_EQ(message("mutant,measured\n"), "list: no variant; expected one a line, such as A104G:L12P");
    EXPECT_EQ(message("A1G\nA1\n"),
              "list:2: not a variant: 'A1'\n"
              "  caused by: mutation 'A1': expected a residue, a position and a residue, such as A104G");
    EXPECT_EQ(message("name,0.5\n"),
              "list:1: no column of variants; the header of a table names it mutant, mutation or "
              "variant, this one has 'name and 0.5'");
    EXPECT_EQ(message("A1G,0.5\nC2D\n"), "list:2: not a variant: 'C2D'\n  caused by: 1 cell; expected 2");
    EXPECT_EQ(message("mutant,measured\nA1G,high\n"),
              "list:2: not a variant: 'A1G,high'\n"
              "  caused by: the measurement is 'high'; expected a finite number, or nothing");
    for (std::string const value : {"inf", "1.5x", "0x10"})
        EXPECT_NE(message("mutant,measured\nA1G," + value + "\n").find("the measurement is '" + value + "'"),
                  std::string::npos)
            << value;
    EXPECT_EQ(message("mutant,measured\nA1G\n"), "list:2: not a variant: 'A1G'\n  caused by: 1 cell; expected 2");
    EXPECT_EQ(message("mutant,measured\n,1\n"),
              "list:2: not a variant: ',1'\n  caused by: the variant is missing; write the wild type as WT");
    EXPECT_EQ(message("mutant,score\nA1G,1\n", {.first_position = 1, .measured_column = "scores"}),
              "list:1: no column 'scores'; the header has 'mutant and score' (did you mean `score`?)");
    EXPECT_EQ(message("A1G\n", {.first_position = 1, .measured_column = "score"}),
              "list:1: a plain list of variants has no column 'score'; give a table with a header");
}

TEST_F(VariantListFile, VariantsGoToTheirProteins) {
    std::vector<Protein> const one{{"q", {}, "ACD"}};
    std::vector<Protein> const two{{"q", {}, "ACD"}, {"other", {}, "WWW"}};
    auto const of = [&](std::string const& text, std::vector<Protein> const& proteins) {
        return variants_of_proteins(read(text), proteins);
    };
    EXPECT_EQ(of("A1G\nC2D\n", one).at(0).size(), 2u);
    auto const sorted = of("query,mutant\nother,W3A\nq,A1G\nother,WT\n", two);
    EXPECT_EQ(sorted[0].size(), 1u);
    EXPECT_EQ(sorted[1].size(), 2u);
    auto const problem = [&](std::string const& text, std::vector<Protein> const& proteins) {
        return message_of([&] { (void)of(text, proteins); });
    };
    EXPECT_EQ(problem("A1G\n", two),
              "list:1: variant 'A1G' does not say which of 2 proteins it is of; add a column 'query' with their ids");
    EXPECT_EQ(problem("query,mutant\notter,W3A\n", two),
              "list:2: variant 'W3A': 'otter' is none of the proteins (did you mean `other`?)");
    EXPECT_EQ(problem("A1G\nA1G:L2D\n", one),
              "list:2: variant 'A1G:L2D' is none of record 'q'\n"
              "  caused by: mutation 'L2D': the query has C there, not L; positions count from 1 at the query's first "
              "residue");
    EXPECT_EQ(problem("A4G\n", one), "list:1: variant 'A4G' is none of record 'q'\n"
                                     "  caused by: mutation 'A4G': the query ends at 3");
}

TEST_F(VariantListFile, MutationsAreMade) {
    Protein const protein{"q", {}, "ACDX"};
    EXPECT_EQ(mutated(protein, parse_mutations("A1G:D3W")), "GCWX");
    EXPECT_EQ(mutated(protein, {}), "ACDX");
    EXPECT_THROW((void)mutated(protein, parse_mutations("C1G")), data_error);
    EXPECT_THROW((void)mutated(protein, parse_mutations("A1G:A1W")), data_error);
}

TEST_F(VariantListFile, DamagedListsAreReadOrRefused) {
    std::string const whole = "query,mutant,measured\nq,A1G,0.5\n\"q\",A1G:C2D,-1e3\n,WT,\n#\n";
    std::mt19937 random{3};
    int refused = 0;
    for (int trial = 0; trial < 300; ++trial) {
        std::string text = whole;
        for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
        refused +=
            message(text.substr(0, random() % (text.size() + 1))) != "none"; // any other exception fails the test
    }
    EXPECT_GT(refused, 50);
    EXPECT_LT(refused, 300);
}

TEST_F(VariantListFile, TheTableHoldsTheScores) {
    Msa const msa = query_only_msa("q", "ACDEFGHIKL", "test");
    VariantScorer const scorer{msa};
    auto const list = read("mutant,measured\nA1G,0.5\nWT,\nC2W:D3W,-2\n");
    std::vector<VariantScores> scores;
    for (auto const& variant : list.variants) scores.push_back(scorer.score(variant.mutations));
    std::ostringstream with, without;
    write_variant_scores(with, list, list.variants, scores, true);
    char row[160];
    std::snprintf(row, sizeof row, "A1G\t1\t%.4f\t%.4f\t%.4f\t0.5\n", scores[0].entropy, scores[0].log_odds,
                  scores[0].potts);
    EXPECT_TRUE(with.str().starts_with(std::string{"variant\tmutations\tentropy\tlog_odds\tpotts\tmeasured\n"} + row))
        << with.str();
    EXPECT_NE(with.str().find("\nWT\t0\t0.0000\t0.0000\t0.0000\t\n"), std::string::npos) << with.str();
    auto const plain = read("A1G\n");
    write_variant_scores(without, plain, plain.variants, std::span{scores}.first(1), false);
    EXPECT_TRUE(without.str().starts_with("variant\tmutations\tentropy\tlog_odds\nA1G\t1\t")) << without.str();
}

} // namespace
} // namespace tape
