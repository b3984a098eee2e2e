// tape-msa --variants, on a family whose columns are known.
#include "compare/metrics.hpp"
#include "data/alphabet.hpp"
#include "features/variant_list.hpp"

#include "tests/cli/cli_fixture.hpp"
#include <nlohmann/json.hpp>

#include <cstdio>
#include <random>
#include <sstream>

namespace tape {
namespace {

class TapeMsaVariants : public test::CliTest {
  protected:
    std::string wild_type_;

    void SetUp() override {
        CliTest::SetUp();
        std::mt19937 random{7};
        for (int i = 0; i < 60; ++i) wild_type_.push_back(amino_acids[random() % 20]);
        std::string family = ">x\n" + wild_type_ + "\n", database;
        for (int r = 0; r < 40; ++r) {
            std::string row = wild_type_;
            for (std::size_t c = 10; c < row.size(); ++c) // ten columns never change
                if (random() % 3 == 0) row[c] = amino_acids[random() % 20];
            family += ">r" + std::to_string(r) + "\n" + row + "\n";
            database += ">r" + std::to_string(r) + "\n" + row + "\n";
        }
        write("ready/first.a3m", family);
        write("db.fasta", database);
        write("q.fasta", ">first\n" + wild_type_ + "\n");
    }

    /// The residue of a column (from 1) exchanged for another.
    [[nodiscard]] std::string mutation(std::size_t position, char to = 'A') const {
        char const from = wild_type_[position - 1];
        return from + std::to_string(position) + (from == to ? 'W' : to);
    }

    static std::vector<std::vector<std::string>> table(std::string const& text) {
        std::vector<std::vector<std::string>> rows;
        std::istringstream in{text};
        for (std::string line; std::getline(in, line);) {
            rows.emplace_back();
            std::istringstream cells{line};
            for (std::string cell; std::getline(cells, cell, '\t');) rows.back().push_back(cell);
        }
        return rows;
    }
};

TEST_F(TapeMsaVariants, ScoresAndRankCorrelations) {
    std::string list = "mutant,measured\n";
    std::vector<double> measured;
    for (std::size_t position : {1, 5, 9, 15, 25, 35, 45, 55}) {
        measured.push_back(static_cast<double>(position * position));
        list += mutation(position) + ":" + mutation(position + 1) + "," + std::to_string(measured.back()) + "\n";
    }
    write("variants.csv", list);
    std::vector<std::string> const line{"q.fasta",    "--msa-dir",    "ready",       "-o", "out",
                                        "--variants", "variants.csv", "--couplings", "plm"};
    auto const outcome = run("tape-msa", line);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    auto const rows = table(read("out/first.variants.tsv"));
    ASSERT_EQ(rows.size(), measured.size() + 1);
    EXPECT_EQ(rows[0], (std::vector<std::string>{"variant", "mutations", "entropy", "log_odds", "potts", "measured"}));
    VariantScorer const scorer{read_msa(path("ready/first.a3m"))};
    std::vector<double> entropy, log_odds, potts;
    for (std::size_t v = 0; v < measured.size(); ++v) {
        auto const scores = scorer.score(parse_mutations(rows[v + 1][0]));
        EXPECT_EQ(rows[v + 1][1], "2");
        EXPECT_NEAR(std::stod(rows[v + 1][2]), scores.entropy, 1e-4);
        EXPECT_NEAR(std::stod(rows[v + 1][3]), scores.log_odds, 1e-4);
        EXPECT_NEAR(std::stod(rows[v + 1][4]), scores.potts, 1e-4);
        entropy.push_back(scores.entropy), log_odds.push_back(scores.log_odds), potts.push_back(scores.potts);
    }
    char expected[160];
    std::snprintf(
        expected, sizeof expected,
        "8 variants scored; Spearman's rho with measured (8 variants): entropy %.3f, log_odds %.3f, potts %.3f",
        spearman(entropy, measured), spearman(log_odds, measured), spearman(potts, measured));
    EXPECT_NE(outcome.out.find(std::string{"\n    "} + expected + "\n"), std::string::npos) << outcome.out;
    EXPECT_GT(spearman(entropy, measured), 0.5) << "conserved columns measure low here";
    auto const manifest = nlohmann::json::parse(read("out/manifest.json"));
    EXPECT_EQ(manifest.at("details").at("variants of first"), expected);
    EXPECT_TRUE(manifest.at("inputs").contains("variants.csv"));
    // The same line again keeps the table and says the same; another list is scored.
    auto const again = run("tape-msa", line);
    EXPECT_NE(again.out.find("(kept)\n    " + std::string{expected}), std::string::npos) << again.out;
    write("variants.csv", mutation(3) + "\n");
    auto const other = run("tape-msa", line);
    EXPECT_EQ(other.out.find("(kept)"), std::string::npos) << other.out;
    EXPECT_NE(other.out.find("\n    1 variant scored\n"), std::string::npos) << other.out;
    EXPECT_EQ(table(read("out/first.variants.tsv")).size(), 2u);
}

TEST_F(TapeMsaVariants, OfSeveralSearchedQueries) {
    write("two.fasta", ">first\n" + wild_type_ + "\n>second\nMKTAYIAKQRQISFVKSHFSRQ\n>third\nMKWWWIAKQRQISFVKSHF\n");
    write("list.tsv", "query\tvariant\nsecond\tM101A\nfirst\tWT\nsecond\tK102A:T103A\n");
    auto const outcome = run("tape-msa", {"two.fasta", "--db", "db.fasta", "-o", "out", "--variants", "list.tsv",
                                          "--first-position", "101", "--threads", "2"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(read("out/first.variants.tsv"), "variant\tmutations\tentropy\tlog_odds\nWT\t0\t0.0000\t0.0000\n");
    EXPECT_EQ(table(read("out/second.variants.tsv")).size(), 3u);
    EXPECT_FALSE(std::filesystem::exists(path("out/third.variants.tsv"))) << "nothing is listed for it";
}

TEST_F(TapeMsaVariants, MistakesAreFoundBeforeTheSearch) {
    auto const refused = [&](std::string const& list, std::string const& message) {
        write("list", list);
        expect_error("tape-msa", {"q.fasta", "--db", "db.fasta", "-o", "out", "--variants", "list"}, 3,
                     {"tape-msa: " + message});
    };
    char const wrong = wild_type_[4] == 'A' ? 'C' : 'A';
    std::string const name = wrong + std::string{"5W"};
    refused(mutation(1) + "\n" + name + "\n", "list:2: variant '" + name +
                                                  "' is none of record 'first'\n  caused by: mutation '" + name +
                                                  "': the query has " + wild_type_[4] + " there, not " + wrong);
    refused("A61C\n", "list:1: variant 'A61C' is none of record 'first'\n"
                      "  caused by: mutation 'A61C': the query ends at 60\n");
    refused("A5J\n", "list:1: not a variant: 'A5J'\n  caused by: mutation 'A5J': 'J' is none of the 20 amino acids");
    refused("mutant,measured\n" + mutation(2) + ",1e\n", "list:2: not a variant: '" + mutation(2) + ",1e'\n");
    expect_error("tape-msa", {"q.fasta", "--db", "db.fasta", "-o", "out", "--variants", "none"}, 3,
                 {"tape-msa: none: "});
    expect_error("tape-msa", {"q.fasta", "--db", "db.fasta", "-o", "out", "--measured", "x"}, 2,
                 {"tape-msa: --measured is about --variants, which is not given\n"});
    expect_error("tape-msa", {"q.fasta", "--db", "db.fasta", "--hits", "h.tsv", "--variants", "q.fasta"}, 2,
                 {"tape-msa: --variants needs alignments: name a folder with -o\n"});
    expect_error("tape-msa", {"-", "--db", "db.fasta", "-o", "out", "--variants", "-"}, 2,
                 {"tape-msa: queries and --variants cannot both be read from stdin\n"});
}

} // namespace
} // namespace tape
