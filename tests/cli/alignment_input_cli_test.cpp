// Odd and bad input of tape-msa and tape-db: what must work, and what must be refused in words.
#include "tests/cli/cli_fixture.hpp"

#include <algorithm>
#include <random>
#include <sstream>

namespace tape::test {
namespace {

class AlignmentInput : public CliTest {
  protected:
    std::mt19937 random_{17};
    std::string query_ = protein(150);

    std::string protein(std::size_t length) {
        std::string residues;
        while (residues.size() < length) residues.push_back("ACDEFGHIKLMNPQRSTVWY"[random_() % 20]);
        return residues;
    }

    std::string relative(std::string residues) {
        for (char& c : residues)
            if (random_() % 4 == 0) c = "ACDEFGHIKLMNPQRSTVWY"[random_() % 20];
        return residues;
    }

    /// db.tdb with ten relatives of the query, strangers and `extra` records.
    void build_database(std::string const& extra = "") {
        std::string fasta;
        for (int i = 0; i < 10; ++i) fasta += ">f" + std::to_string(i) + "\n" + relative(query_) + "\n";
        for (int i = 0; i < 60; ++i) fasta += ">u" + std::to_string(i) + "\n" + protein(120) + "\n";
        write("db.fasta", fasta + extra);
        ASSERT_EQ(run("tape-db", {"build", "db.fasta", "-o", "db.tdb"}).exit_code, 0);
    }

    void expect_refused(std::string const& program, std::vector<std::string> const& arguments,
                        std::string const& message) {
        expect_error(program, arguments, 3, {program + ": " + message});
    }

    static std::vector<std::string> lines(std::string const& text) {
        std::vector<std::string> result;
        std::istringstream in{text};
        for (std::string line; std::getline(in, line);) result.push_back(line);
        return result;
    }
};

TEST_F(AlignmentInput, empty_sequences_stops_and_repeated_names) {
    build_database();
    std::vector<std::pair<std::string, std::string>> const cases{
        {">a\nMKTAY\n>b\n\n>c\nMK\n", "in.fasta:3: record 'b' has no residues\n"},
        {">a\nMKTAY\n>b\n*\n", "in.fasta:3: record 'b' has no residues\n"},
        {">a\nMKTAY\n>b\nMKT*AY\n",
         "in.fasta:4: '*' at position 4 of record 'b' has residues behind it; only a last '*' is dropped\n"},
        {">a\nMKTAY*\nMK\n",
         "in.fasta:3: '*' at position 6 of record 'a' has residues behind it; only a last '*' is dropped\n"},
        {">a\nMKT\n>b\nMK\n>a\nMKV\n", "in.fasta:5: duplicate id 'a', first seen on line 1; ids must be unique\n"},
        {">a\nMKT-AY\n", "in.fasta:2: '-' at position 4 of record 'a': looks like an alignment; use --msa-dir\n"},
    };
    for (auto const& [fasta, message] : cases) {
        write("in.fasta", fasta);
        expect_refused("tape-msa", {"in.fasta", "--db", "db.tdb", "-o", "out"}, message);
        expect_refused("tape-msa", {"--set", "in.fasta", "-o", "out.fasta"}, message);
        expect_refused("tape-db", {"build", "in.fasta", "-o", "out.tdb"}, message);
    }
}

TEST_F(AlignmentInput, a_last_stop_and_lower_case_are_the_same_protein) {
    build_database();
    auto const hits = [&](std::string const& residues) {
        write("q.fasta", ">q\n" + residues + "\n");
        auto const outcome = run("tape-msa", {"q.fasta", "--db", "db.tdb", "--hits", "hits.tsv"});
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        return read("hits.tsv");
    };
    auto const expected = hits(query_);
    EXPECT_EQ(lines(expected).size(), 11u);
    std::string lower = query_;
    std::ranges::transform(lower, lower.begin(), [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    EXPECT_EQ(hits(lower), expected);
    EXPECT_EQ(hits(query_ + "*"), expected);
}

TEST_F(AlignmentInput, nothing_but_unknown_residues) {
    build_database(">nothing\n" + std::string(120, 'X') + "\n");
    write("x.fasta", ">x\n" + std::string(80, 'X') + "\n>q\n" + query_ + "\n");
    auto const outcome = run("tape-msa", {"x.fasta", "--db", "db.tdb", "-o", "out", "--evalue", "1000"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(read("out/x.a3m"), ">x\n" + std::string(80, 'X') + "\n");
    EXPECT_NE(read("out/q.a3m").find("\n>f0"), std::string::npos);
    EXPECT_EQ(read("out/hits.tsv").find("nothing"), std::string::npos);
    EXPECT_NE(outcome.err.find("tape-msa: no homologs of 'x' in db.tdb"), std::string::npos) << outcome.err;
    auto const set = run("tape-msa", {"--set", "x.fasta", "-o", "-"});
    EXPECT_EQ(set.exit_code, 0) << set.err;
    EXPECT_EQ(std::ranges::count(set.out, 'X'), 80);
}

TEST_F(AlignmentInput, forty_thousand_residues) {
    // As long as titin. The query's own region is in there.
    std::string const titin = protein(30000) + relative(query_) + protein(10000 - query_.size());
    build_database(">titin\n" + titin + "\n");
    write("q.fasta", ">q\n" + query_ + "\n");
    auto const found = run("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out", "--threads", "1"});
    EXPECT_EQ(found.exit_code, 0) << found.err;
    auto const hits = read("out/hits.tsv");
    auto const at = hits.find("\ttitin\t");
    ASSERT_NE(at, std::string::npos);
    EXPECT_NE(hits.substr(at, hits.find('\n', at) - at).find("\t30"), std::string::npos) << "30,001 and on: " << hits;
    write("titin.fasta", ">titin\n" + titin + "\n");
    write("short.fasta", ">f\n" + relative(query_) + "\n>u\n" + protein(200) + "\n");
    auto const long_query =
        run("tape-msa", {"titin.fasta", "--db", "short.fasta", "-o", "out2", "--threads", "1", "--rounds", "2"});
    EXPECT_EQ(long_query.exit_code, 0) << long_query.err;
    EXPECT_TRUE(read("out2/titin.a3m").starts_with(">titin\n" + titin.substr(0, 100)));
    EXPECT_NE(read("out2/titin.a3m").find("\n>f "), std::string::npos);
    write("set.fasta", ">titin\n" + titin + "\n>q\n" + query_ + "\n");
    auto const set = run("tape-msa", {"--set", "set.fasta", "-o", "set.a3m", "--threads", "1"});
    EXPECT_EQ(set.exit_code, 0) << set.err;
    auto const row = lines(read("set.a3m")).at(3);
    EXPECT_EQ(row.size() - static_cast<std::size_t>(std::ranges::count(row, '-')), query_.size());
    EXPECT_EQ(row.substr(0, 29000), std::string(29000, '-'));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    for (auto const* outcome : {&found, &long_query, &set}) EXPECT_LT(outcome->peak_kilobytes, 1 << 20);
#endif
}

TEST_F(AlignmentInput, rows_of_unequal_length) {
    write("q.fasta", ">q\nMKTAYIAKQRQISF\n");
    std::vector<std::pair<std::string, std::pair<std::string, std::string>>> const cases{
        {"q.sto",
         {"# STOCKHOLM 1.0\nq MKTAYIAKQRQISF\nb MKTAYIAKQRQIS\n//\n",
          "ready/q.sto:3: record 'b': 13 columns where the query 'q' has 14; the row is damaged or the rows are not "
          "aligned\n"}},
        {"q.aln",
         {"CLUSTAL W\n\nq MKTAYIAKQRQISF\nb MKTAYIAKQRQIS\n",
          "ready/q.aln:4: record 'b': 13 columns where the query 'q' has 14; the row is damaged or the rows are not "
          "aligned\n"}},
        {"q.fasta",
         {">q\nMKTAYIAKQRQISF\n>b\nMKTAY-IAKQRQISF\n",
          "ready/q.fasta:3: record 'b': 15 match columns (upper-case letters and '-') where the query 'q' has 14"}},
        {"q.a2m",
         {">q\nMKTAY.IAKQRQISF\n>b\nMKTAYIAKQRQISF\n", "ready/q.a2m:3: record 'b': 14 columns where the query 'q' has "
                                                       "15"}},
        {"q.sto",
         {"# STOCKHOLM 1.0\nq MKTAYIAKQRQISF\n",
          "ready/q.sto:2: the Stockholm alignment ends without '//'; the file is truncated\n"}},
        {"q.aln", {"CLUSTAL W\n\n", "ready/q.aln: no rows; expected an A3M"}},
    };
    for (auto const& [name, content] : cases) {
        std::filesystem::remove_all(path("ready"));
        write("ready/" + name, content.first);
        expect_refused("tape-msa", {"q.fasta", "--msa-dir", "ready", "-o", "out"}, content.second);
    }
    // Rows of one name are rows all the same.
    std::filesystem::remove_all(path("ready"));
    write("ready/q.a3m", ">q\nMKTAYIAKQRQISF\n>b\nMKTAYIAKQRQISW\n>b\nMKTAYIAKQRQISY\n");
    EXPECT_EQ(run("tape-msa", {"q.fasta", "--msa-dir", "ready", "-o", "out", "--format", "sto"}).exit_code, 0);
    EXPECT_NE(read("out/q.sto").find("\nb/2 "), std::string::npos) << read("out/q.sto");
}

TEST_F(AlignmentInput, clusters_of_the_database) {
    std::string copies;
    for (int i = 0; i < 8; ++i) copies += ">c" + std::to_string(i) + "\n" + query_ + "\n";
    build_database(copies);
    write("q.fasta", ">q\n" + query_ + "\n");
    ASSERT_EQ(run("tape-db", {"cluster", "db.tdb", "-o", "c.tsv"}).exit_code, 0);
    for (std::string const out : {"every", "near"}) {
        std::vector<std::string> arguments{"q.fasta", "--db", "db.tdb", "-o", out};
        if (out == "near") arguments.insert(arguments.end(), {"--clusters", "c.tsv"});
        EXPECT_EQ(run("tape-msa", arguments).exit_code, 0);
    }
    EXPECT_EQ(read("near/q.a3m"), read("every/q.a3m"));
    EXPECT_EQ(lines(read("near/hits.tsv")).size(), 19u);
    EXPECT_NE(read("near/manifest.json").find("c.tsv"), std::string::npos);

    // Without its clusters the table is of another database.
    write("c.tsv", "f0\tf0\nf0\tgone\n");
    expect_refused("tape-msa", {"q.fasta", "--db", "db.tdb", "--clusters", "c.tsv", "-o", "out"},
                   "c.tsv:2: 'gone' is not in db.tdb; make the table of this database (tape-db cluster)\n");
    expect_error("tape-msa", {"q.fasta", "--msa-dir", "near", "--clusters", "c.tsv", "-o", "out"}, 2,
                 {"name it with --db"});
}

TEST_F(AlignmentInput, a_database_of_another_version) {
    build_database();
    std::string bytes = read("db.tdb");
    bytes[8] = 2;
    write("db.tdb", bytes);
    std::string const message = "db.tdb: database format version 2, this program reads version 1; build it again\n";
    write("q.fasta", ">q\n" + query_ + "\n");
    for (std::string const command : {"info", "verify"}) expect_refused("tape-db", {command, "db.tdb"}, message);
    expect_refused("tape-db", {"cluster", "db.tdb", "-o", "c.tsv"}, message);
    expect_refused("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out"}, message);
}

TEST_F(AlignmentInput, a_database_cut_at_every_kilobyte) {
    build_database();
    std::string const whole = read("db.tdb");
    ASSERT_GT(whole.size(), 8u << 10);
    write("q.fasta", ">q\n" + query_ + "\n");
    for (std::size_t size = 0; size < whole.size(); size += 1 << 10) {
        write("cut.tdb", whole.substr(0, size));
        std::string const message =
            size == 0 ? "cut.tdb: not a tape database (it starts with ''); make one with `tape-db build`\n"
                      : "cut.tdb: truncated or extended database: " + std::to_string(size) +
                            " bytes where its header says " + std::to_string(whole.size()) + "; build it again\n";
        expect_refused("tape-db", {"verify", "cut.tdb"}, message);
        expect_refused("tape-msa", {"q.fasta", "--db", "cut.tdb", "--hits", "hits.tsv"}, message);
    }
}

} // namespace
} // namespace tape::test
