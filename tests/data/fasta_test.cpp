#include "data/fasta.hpp"
#include "data/io.hpp"

#include "tests/data/scratch.hpp"

#include <random>

namespace tape {
namespace {

class Fasta : public test::Scratch {
  protected:
    /// Message of reading `content`, with the path cut to "in.fasta".
    std::string message(std::string const& content, FastaOptions const& options = {}) const {
        auto const path = file("in.fasta", content);
        auto const outcome = test::outcome_of([&] { read_fasta(path, options); });
        EXPECT_EQ(outcome.code, outcome.message.empty() ? exit_code::done : exit_code::bad_data);
        std::size_t const at = outcome.message.find(path.string());
        return at == std::string::npos ? outcome.message : outcome.message.substr(at + directory.string().size() + 1);
    }
    std::vector<Protein> read(std::string const& content, FastaOptions const& options = {}) const {
        return read_fasta(file("in.fasta", content), options);
    }
};

TEST_F(Fasta, ReadsHeadersLinesAndBothLineEnds) {
    std::vector<Protein> const expected{{"a", "first  protein", "MKVACD"}, {"b", "", "GHX"}};
    EXPECT_EQ(read(">a first  protein\nMKV\nACD\n\n>b\nghx\n"), expected);
    EXPECT_EQ(read(">a \tfirst  protein\r\nMKV\r\nACD\r\n>b\r\nghx*"), expected);
}

TEST_F(Fasta, RoundTripsThroughEveryCompression) {
    std::mt19937 random{3};
    std::vector<Protein> proteins;
    for (int i = 0; i < 200; ++i) {
        std::string residues(1 + random() % 300, 'A');
        for (char& letter : residues) letter = "ACDEFGHIKLMNPQRSTVWYXBZUOJ"[random() % 26];
        proteins.push_back({"id" + std::to_string(i), i % 3 ? "some words " + std::to_string(i) : "", residues});
    }
    for (std::string const ending : {"", ".gz", ".xz", ".zst"}) {
        auto const path = directory / ("x.fasta" + ending);
        write_atomically(path, [&proteins](std::ostream& out) { write_fasta(out, proteins); });
        EXPECT_EQ(read_fasta(path), proteins) << ending;
    }
}

TEST_F(Fasta, WritesSixtyLettersALine) {
    std::ostringstream out;
    write_fasta(out, {{"a", "d", std::string(61, 'M')}});
    EXPECT_EQ(out.str(), ">a d\n" + std::string(60, 'M') + "\nM\n");
}

TEST_F(Fasta, EveryFlawHasItsMessage) {
    EXPECT_EQ(message(">a\nMKV\nM1V\n"), "in.fasta:3: '1' at position 5 of record 'a' is no residue letter");
    EXPECT_EQ(message(">a\nMK V\n"), "in.fasta:2: ' ' at position 3 of record 'a' is no residue letter");
    EXPECT_EQ(message(">a\nMK\x01V\n"), "in.fasta:2: '\\x01' at position 3 of record 'a' is no residue letter");
    EXPECT_EQ(message(">a\nMK-V\n"),
              "in.fasta:2: '-' at position 3 of record 'a': looks like an alignment; use --msa-dir");
    EXPECT_EQ(message(">a\nMK..V\n"),
              "in.fasta:2: '.' at position 3 of record 'a': looks like an alignment; use --msa-dir");
    EXPECT_EQ(message(">a\nMK*V\n"),
              "in.fasta:2: '*' at position 3 of record 'a' has residues behind it; only a last '*' is dropped");
    EXPECT_EQ(message(">a\nMK*\nV\n"),
              "in.fasta:3: '*' at position 3 of record 'a' has residues behind it; only a last '*' is dropped");
    EXPECT_EQ(message(">a\n>b\nMK\n"), "in.fasta:1: record 'a' has no residues");
    EXPECT_EQ(message(">a\nMK\n>b\n"), "in.fasta:3: record 'b' has no residues");
    EXPECT_EQ(message(">a\n*\n"), "in.fasta:1: record 'a' has no residues");
    EXPECT_EQ(message(">a\nMK\n>b\nMK\n>a x\nMK\n"),
              "in.fasta:5: duplicate id 'a', first seen on line 1; ids must be unique");
    EXPECT_EQ(message("> a\nMK\n"), "in.fasta:1: header '> a' has no id; expected '>' and an id");
    EXPECT_EQ(message("\nMKV\n>a\nMK\n"), "in.fasta:2: 'MKV' before the first '>'; expected FASTA, '>' and an id");
    EXPECT_EQ(message(""), "in.fasta: no records; expected FASTA, '>' and an id on the first line");
    EXPECT_EQ(message("\n\n"), "in.fasta: no records; expected FASTA, '>' and an id on the first line");
}

TEST_F(Fasta, OptionsRelaxOnlyWhatTheySay) {
    EXPECT_TRUE(read("", {.allow_empty = true}).empty());
    EXPECT_EQ(read(">a\nMK\n>a\nMV\n", {.allow_duplicate_ids = true}).size(), 2u);
    EXPECT_NE(message(">a\nMK\n>b\n", {.allow_duplicate_ids = true, .allow_empty = true}), "");
}

TEST_F(Fasta, BadRecordsAreLeftOutWhereAskedTo) {
    std::vector<std::string> skipped;
    auto const proteins = read(">a\nMK\n>b\nM?V\nM?V\n>a\nMV\n>c\n>d\nACD\n>e\nM-K\n>f\nK\n",
                               {.skip_bad_record = [&skipped](std::string const& text) { skipped.push_back(text); }});
    std::vector<Protein> const expected{{"a", "", "MK"}, {"d", "", "ACD"}, {"f", "", "K"}};
    EXPECT_EQ(proteins, expected);
    EXPECT_EQ(skipped.size(), 4u);
}

TEST_F(Fasta, ATruncatedStreamIsNoShortFile) {
    std::vector<Protein> const proteins(1, {"a", "", std::string(200'000, 'M')});
    for (std::string const ending : {".gz", ".xz", ".zst"}) {
        auto const path = directory / ("x" + ending);
        write_atomically(path, [&](std::ostream& out) { write_fasta(out, proteins); });
        std::filesystem::resize_file(path, std::filesystem::file_size(path) - 5);
        auto const outcome = test::outcome_of([&path] { read_fasta(path); });
        EXPECT_EQ(outcome.code, exit_code::bad_data);
        EXPECT_NE(outcome.message.find(path.string() + ": truncated"), std::string::npos) << outcome.message;
    }
}

} // namespace
} // namespace tape
