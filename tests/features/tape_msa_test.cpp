#include "align/msa.hpp"
#include "data/alphabet.hpp"
#include "data/npy.hpp"

#include "tests/cli/cli_fixture.hpp"
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>
#include <sstream>

namespace tape {
namespace {

/// Two families of relatives and some unrelated sequences.
class TapeMsa : public test::CliTest {
  protected:
    std::string const first_ = random_residues(1, 90), second_ = random_residues(2, 70),
                      lonely_ = random_residues(3, 80);

    static std::string random_residues(unsigned seed, std::size_t length) {
        std::mt19937 random{seed};
        std::string residues;
        for (std::size_t i = 0; i < length; ++i) residues.push_back(amino_acids[random() % 20]);
        return residues;
    }

    static std::string relative(std::string residues, unsigned seed) {
        std::mt19937 random{seed};
        for (char& c : residues)
            if (random() % 4 == 0) c = amino_acids[random() % 20];
        return residues;
    }

    void SetUp() override {
        CliTest::SetUp();
        std::string database;
        for (unsigned i = 0; i < 30; ++i) {
            database += ">f" + std::to_string(i) + "\n" + relative(first_, 10 + i) + "\n";
            if (i < 12) database += ">s" + std::to_string(i) + "\n" + relative(second_, 100 + i) + "\n";
        }
        for (unsigned i = 0; i < 300; ++i)
            database += ">u" + std::to_string(i) + "\n" + random_residues(1000 + i, 60 + i % 100) + "\n";
        write("db.fasta", database);
        write("q.fasta", ">first\n" + first_ + "\n>second some words\n" + second_ + "\n>lonely\n" + lonely_ + "\n");
        ASSERT_EQ(run("tape-db", {"build", "db.fasta", "-o", "db.tdb"}).exit_code, 0);
    }

    static std::vector<std::string> lines(std::string const& text) {
        std::vector<std::string> result;
        std::istringstream in{text};
        for (std::string line; std::getline(in, line);) result.push_back(line);
        return result;
    }
};

TEST_F(TapeMsa, RanksWriteWhatOneProcessWrites) {
    std::vector<std::string> const arguments{"q.fasta", "--db", "db.tdb", "--rounds", "2", "--threads", "1"};
    auto const to = [&](std::string const& folder) {
        auto result = arguments;
        result.insert(result.end(), {"-o", folder});
        return result;
    };
    ASSERT_EQ(run("tape-msa", to("one")).exit_code, 0);
    ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    ::setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    auto const second = run("tape-msa", to("both"));
    EXPECT_EQ(second.exit_code, 0) << second.err;
    EXPECT_EQ(second.out, "");
    EXPECT_EQ(read("both/hits.tsv"), ""); // the first rank gathers
    auto const query_alone = run("tape-msa", {"-", "--db", "db.tdb", "-o", "both"});
    EXPECT_EQ(query_alone.exit_code, 2);
    ::setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    auto const first = run("tape-msa", to("both"));
    ::unsetenv("OMPI_COMM_WORLD_SIZE"), ::unsetenv("OMPI_COMM_WORLD_RANK");
    EXPECT_EQ(first.exit_code, 0) << first.err;
    for (std::string const name : {"hits.tsv", "rounds.tsv", "first.a3m", "second.a3m", "lonely.a3m", "first.features.npz"})
        EXPECT_EQ(read("one/" + name), read("both/" + name)) << name;
    auto const details = [&](std::string const& folder) {
        return nlohmann::json::parse(read(folder + "/manifest.json"))["details"];
    };
    EXPECT_EQ(details("one"), details("both"));
    EXPECT_EQ(details("both")["queries without homologs"], "1");
}

TEST_F(TapeMsa, WritesAlignmentsFeaturesHitsAndManifest) {
    auto const outcome = run("tape-msa", {"q.fasta", "--db", "db.tdb", "--rounds", "2", "-o", "out"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "tape-msa: no homologs of 'lonely' in db.tdb at E <= 0.001: wrote the query alone\n");
    EXPECT_EQ(std::ranges::count(read("out/first.a3m"), '>'), 31);
    EXPECT_EQ(std::ranges::count(read("out/second.a3m"), '>'), 13);
    EXPECT_EQ(read("out/lonely.a3m"), ">lonely\n" + lonely_ + "\n");
    auto const table = lines(outcome.out);
    ASSERT_EQ(table.size(), 4u) << outcome.out;
    EXPECT_TRUE(table[0].starts_with("query "));
    EXPECT_TRUE(table[1].starts_with("first                         90        30 ")) << table[1];
    EXPECT_NE(table[3].find("search of db.tdb: no homologs"), std::string::npos) << table[3];

    auto const arrays = read_npz(path("out/second.features.npz"));
    EXPECT_EQ(arrays.at("frequencies").shape, (std::vector<std::size_t>{70, 20}));
    EXPECT_EQ(arrays.at("alignment").shape, (std::vector<std::size_t>{13, 70}));

    auto const hits = lines(read("out/hits.tsv"));
    EXPECT_EQ(hits[0],
              "#query\ttarget\tevalue\tbits\tround\tidentity\tquery_begin\tquery_end\ttarget_begin\ttarget_end");
    EXPECT_EQ(hits.size(), 43u);
    EXPECT_TRUE(hits[1].starts_with("first\tf"));

    auto const rounds = lines(read("out/rounds.tsv"));
    ASSERT_EQ(rounds.size(), 6u);
    EXPECT_EQ(rounds[0], "#query\tround\tincluded\tadded\tlost\tquery_bits");
    EXPECT_TRUE(rounds[1].starts_with("first\t1\t30\t30\t0\t")) << rounds[1];
    EXPECT_TRUE(rounds[2].starts_with("first\t2\t30\t0\t0\t")) << rounds[2];
    EXPECT_TRUE(rounds[5].starts_with("lonely\t1\t0\t0\t0\t")) << rounds[5];

    auto const manifest = nlohmann::json::parse(read("out/manifest.json"));
    EXPECT_EQ(manifest.at("program"), "tape-msa");
    EXPECT_EQ(manifest.at("argv").size(), 8u);
    EXPECT_EQ(manifest.at("details").at("queries without homologs"), "1");
    EXPECT_EQ(manifest.at("inputs").size(), 2u);
}

TEST_F(TapeMsa, TheSameLineAgainKeepsWhatIsThere) {
    std::vector<std::string> const line{"q.fasta", "--db", "db.tdb", "-o", "out"};
    ASSERT_EQ(run("tape-msa", line).exit_code, 0);
    auto const hits = read("out/hits.tsv"), rounds = read("out/rounds.tsv"), features = read("out/first.features.npz");
    auto const written = std::filesystem::last_write_time(path("out/first.a3m"));
    std::filesystem::remove(path("out/second.a3m"));
    std::filesystem::remove(path("out/hits.tsv"));
    auto const again = run("tape-msa", line);
    EXPECT_EQ(again.exit_code, 0);
    auto const table = lines(again.out);
    EXPECT_TRUE(table[1].ends_with(" (kept)"));
    EXPECT_FALSE(table[2].ends_with(" (kept)"));
    EXPECT_EQ(std::filesystem::last_write_time(path("out/first.a3m")), written);
    EXPECT_TRUE(std::filesystem::exists(path("out/second.a3m")));
    EXPECT_EQ(read("out/hits.tsv"), hits);
    EXPECT_EQ(read("out/rounds.tsv"), rounds);
    // Another option or --force computes again.
    auto longer = line;
    longer.insert(longer.end(), {"--max-hits", "5"});
    EXPECT_EQ(run("tape-msa", longer).out.find("(kept)"), std::string::npos);
    EXPECT_EQ(std::ranges::count(read("out/first.a3m"), '>'), 6);
    auto forced = line;
    forced.push_back("--force");
    EXPECT_EQ(run("tape-msa", forced).out.find("(kept)"), std::string::npos);
    EXPECT_EQ(read("out/first.features.npz"), features);
}

TEST_F(TapeMsa, HitsWithoutAFolderSearchesOnly) {
    auto const outcome =
        run("tape-msa", {"q.fasta", "--db", "db.tdb", "--rounds", "1", "--evalue", "10000", "--hits", "hits.tsv"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    auto const hits = lines(read("hits.tsv"));
    EXPECT_EQ(hits[0], "#query\ttarget\tevalue\tbits");
    EXPECT_GT(hits.size(), 150u);
    EXPECT_EQ(std::ranges::count(hits[1], '\t'), 3);
    EXPECT_FALSE(std::filesystem::exists(path("out")));
}

TEST_F(TapeMsa, AFastaDatabaseIsMadeSearchableOnce) {
    auto const first = run("tape-msa", {"q.fasta", "--db", "db.fasta", "--hits", "hits.tsv"});
    EXPECT_EQ(first.exit_code, 0);
    EXPECT_TRUE(first.err.starts_with("made a database of db.fasta (342 sequences): ")) << first.err;
    auto const second = run("tape-msa", {"q.fasta", "--db", "db.fasta", "--hits", "again.tsv"});
    EXPECT_EQ(second.err.find("made a database"), std::string::npos);
    EXPECT_EQ(read("hits.tsv"), read("again.tsv"));
}

TEST_F(TapeMsa, AllFormatsAndAView) {
    auto const outcome = run("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out", "--format", "a3m,a2m,sto,fasta",
                                          "--features", "json", "--view"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(read("out/first.sto").starts_with("# STOCKHOLM 1.0\n"));
    EXPECT_EQ(std::ranges::count(read("out/first.fasta"), '>'), 31);
    EXPECT_EQ(nlohmann::json::parse(read("out/first.features.json")).at("entropy").size(), 90u);
    EXPECT_NE(outcome.out.find("conservation            "), std::string::npos);
    EXPECT_NE(outcome.out.find("and 10 more rows"), std::string::npos);
}

TEST_F(TapeMsa, ProfilesAndAPage) {
    std::vector<std::string> const line{"q.fasta",          "--db",   "db.tdb",     "-o",  "out", "--format",
                                        "aln,pssm,hhm,hmm", "--html", "--features", "none"};
    auto const outcome = run("tape-msa", line);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(read("out/first.aln").starts_with("CLUSTAL"));
    EXPECT_TRUE(read("out/first.pssm").starts_with("\nLast position-specific scoring matrix"));
    EXPECT_TRUE(read("out/first.hhm").starts_with("HHsearch 1.5\nNAME  first\n"));
    auto const hmm = read("out/first.hmm");
    EXPECT_TRUE(hmm.starts_with("HMMER3/f [tape]\nNAME  first\nLENG  90\n"));
    EXPECT_NE(hmm.find("STATS LOCAL FORWARD"), std::string::npos);
    EXPECT_NE(read("out/first.html").find("<h2>Couplings</h2>"), std::string::npos);
    EXPECT_EQ(read("out/lonely.html").find("<h2>Couplings</h2>"), std::string::npos);
    // A page that is gone is written again.
    std::filesystem::remove(path("out/first.html"));
    auto const table = lines(run("tape-msa", line).out);
    EXPECT_FALSE(table[1].ends_with(" (kept)"));
    EXPECT_TRUE(table[2].ends_with(" (kept)"));
    EXPECT_EQ(read("out/first.hmm"), hmm);
}

TEST_F(TapeMsa, RowsAreFiltered) {
    auto const rows = [&](std::vector<std::string> const& extra) {
        std::vector<std::string> line{"q.fasta", "--db", "db.tdb", "-o", "out", "--quiet"};
        line.insert(line.end(), extra.begin(), extra.end());
        EXPECT_EQ(run("tape-msa", line).exit_code, 0);
        return std::ranges::count(read("out/first.a3m"), '>');
    };
    EXPECT_EQ(rows({}), 31);
    EXPECT_EQ(rows({"--max-pairwise-identity", "0.5"}), 1);
    EXPECT_EQ(rows({"--diversity", "10"}), 10);
    auto const similar = rows({"--min-identity", "0.75"});
    EXPECT_GT(similar, 1);
    EXPECT_LT(similar, 31);
    EXPECT_EQ(rows({"--max-identity", "0.7499"}) + similar, 32);
    EXPECT_EQ(rows({"--min-score", "6"}), 1);
    // Hits stay in the table.
    EXPECT_EQ(lines(read("out/hits.tsv")).size(), 43u);
    auto const none = run("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out", "--min-score", "6"});
    EXPECT_NE(none.out.find("first"), std::string::npos);
    auto const forced = run("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out", "--min-score", "6", "--force"});
    EXPECT_NE(forced.err.find("tape-msa: the filters left no row of 'first' but the query: 30 hits removed\n"),
              std::string::npos)
        << forced.err;
}

TEST_F(TapeMsa, ReadyAlignmentsKeepTheirInsertions) {
    std::string row = first_;
    row.insert(40, "wwk");
    write("one.fasta", ">first\n" + first_ + "\n");
    write("ready/first.a3m", ">x\n" + first_ + "\n>y\n" + row + "\n");
    EXPECT_EQ(run("tape-msa", {"one.fasta", "--msa-dir", "ready", "-o", "out"}).exit_code, 0);
    EXPECT_EQ(read("out/first.a3m"), ">first\n" + first_ + "\n>y\n" + row + "\n");
}

TEST_F(TapeMsa, ReadyAlignmentsAreNotSearched) {
    write("ready/first.a3m", ">x\n" + first_ + "\n>y\n" + relative(first_, 5) + "\n");
    auto const outcome = run("tape-msa", {"q.fasta", "--msa-dir", "ready", "--db", "db.tdb", "-o", "out"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(std::ranges::count(read("out/first.a3m"), '>'), 2);
    EXPECT_TRUE(read("out/first.a3m").starts_with(">first\n"));
    EXPECT_EQ(std::ranges::count(read("out/second.a3m"), '>'), 13);
    EXPECT_NE(lines(outcome.out)[1].find("ready alignments of ready"), std::string::npos);
    auto const alone = run("tape-msa", {"q.fasta", "--msa-dir", "ready", "-o", "out2"});
    EXPECT_EQ(alone.exit_code, 0);
    EXPECT_EQ(alone.err, "tape-msa: no alignment of 'second' in ready and no --db: wrote the query alone\n"
                         "tape-msa: no alignment of 'lonely' in ready and no --db: wrote the query alone\n");
}

TEST_F(TapeMsa, CouplingsAreAddedOnDemand) {
    write("ready/first.a3m", ">x\n" + first_ + "\n>y\n" + relative(first_, 5) + "\n");
    write("one.fasta", ">first\n" + first_ + "\n");
    std::vector<std::string> const plain{"one.fasta", "--msa-dir", "ready", "-o", "out"};
    auto const with = [&](std::string const& couplings) {
        auto arguments = plain;
        arguments.insert(arguments.end(), {"--couplings", couplings});
        return arguments;
    };
    EXPECT_EQ(run("tape-msa", plain).exit_code, 0);
    EXPECT_FALSE(read_npz(path("out/first.features.npz")).contains("potts_coupling"));
    // "none" is the default, so what is there is kept; other maps are another result.
    EXPECT_NE(run("tape-msa", with("none")).out.find("(kept)"), std::string::npos);
    auto const outcome = run("tape-msa", with("plm,mi"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out.find("(kept)"), std::string::npos);
    auto const arrays = read_npz(path("out/first.features.npz"));
    EXPECT_EQ(arrays.at("potts_coupling").shape, (std::vector<std::size_t>{90, 90}));
    EXPECT_TRUE(arrays.contains("mutual_information"));
    EXPECT_FALSE(arrays.contains("direct_coupling"));
    EXPECT_EQ(lines(run("tape-msa", with("plmc")).err).at(0),
              "tape-msa: --couplings: expected plm, mean-field, mi or none, saw 'plmc' (did you mean `plm`?)");
}

TEST_F(TapeMsa, APottsModelThatDoesNotFitNamesTheRecord) {
    std::string const giant = random_residues(9, 6000);
    write("ready/giant.a3m", ">giant\n" + giant + "\n");
    write("giant.fasta", ">giant\n" + giant + "\n");
    auto const outcome =
        run("tape-msa", {"giant.fasta", "--msa-dir", "ready", "-o", "out", "--couplings", "plm", "--threads", "1"});
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_TRUE(
        outcome.err.starts_with("tape-msa: features of record 'giant'\n"
                                "  caused by: potts: a model of 6000 columns from 1 rows takes 31.81 GB, the limit"))
        << outcome.err;
    EXPECT_NE(
        outcome.err.find(" GB, the limit is 4.29 GB; use mean-field couplings, fewer threads, or cut the alignment "
                         "to a domain\n"),
        std::string::npos)
        << outcome.err;
}

TEST_F(TapeMsa, IdsThatAreNoFileNames) {
    write("odd.fasta", ">sp/1\n" + first_ + "\n");
    auto const outcome = run("tape-msa", {"odd.fasta", "--db", "db.tdb", "-o", "out"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "tape-msa: record 'sp/1' is written as 'sp_1': its id is no file name\n");
    EXPECT_TRUE(read("out/sp_1.a3m").starts_with(">sp/1\n"));
    write("clash.fasta", ">sp/1\n" + first_ + "\n>sp_1\n" + first_ + "\n");
    auto const clash = run("tape-msa", {"clash.fasta", "--db", "db.tdb", "-o", "out3"});
    EXPECT_EQ(clash.exit_code, 3);
    EXPECT_EQ(clash.err, "tape-msa: records 'sp/1' and 'sp_1' would both be written as 'sp_1'; rename one\n");
    EXPECT_FALSE(std::filesystem::exists(path("out3")));
}

TEST_F(TapeMsa, UsageErrors) {
    auto const error_of = [&](std::vector<std::string> const& arguments) {
        auto const outcome = run("tape-msa", arguments);
        EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
        return lines(outcome.err).at(0);
    };
    EXPECT_EQ(error_of({"q.fasta", "-o", "out"}),
              "tape-msa: name a database with --db, or a folder of alignments with --msa-dir");
    EXPECT_EQ(error_of({"q.fasta", "--db", "db.tdb"}),
              "tape-msa: name a folder with -o, or a file with --hits to search only");
    EXPECT_EQ(error_of({"q.fasta", "--msa-dir", "x", "--hits", "h.tsv"}),
              "tape-msa: --hits without -o searches only, which needs --db");
    EXPECT_EQ(
        error_of({"q.fasta", "--db", "db.tdb", "-o", "out", "--format", "a3n"}),
        "tape-msa: --format: expected a3m, a2m, sto, fasta, aln, pssm, hhm or hmm, saw 'a3n' (did you mean `a3m`?)");
    EXPECT_EQ(error_of({"q.fasta", "--db", "db.tdb", "--hits", "h.tsv", "--html"}),
              "tape-msa: --html needs alignments: name a folder with -o");
    EXPECT_EQ(error_of({"q.fasta", "--db", "db.tdb", "-o", "out", "--min-identity", "0.9", "--max-identity", "0.5"}),
              "tape-msa: --min-identity 0.9 is above --max-identity 0.5");
    EXPECT_EQ(error_of({"q.fasta", "--db", "db.tdb", "-o", "out", "--threads", "-1"}),
              "tape-msa: --threads: expected 0 or more, saw -1");
    EXPECT_EQ(error_of({"q.fasta", "--db", "db.tdb", "-o", "out", "--rounds", "0"}),
              "tape-msa: --rounds: expected 1 or more, saw 0");
}

TEST_F(TapeMsa, ADryRunWritesNothing) {
    auto const before = files();
    auto const outcome = run("tape-msa", {"q.fasta", "--db", "db.tdb", "-o", "out", "--dry-run"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out.substr(0, outcome.out.find(" (")), "3 query records of q.fasta against 342 sequences");
    EXPECT_EQ(files(), before);
}

TEST_F(TapeMsa, ASetIsAlignedWithItself) {
    write("family.fasta",
          ">whole some words\nMKTAYIAKQRWISFVKSHFSRQ\n>lower\nmktayiakqrwshfsrq\n>odd\nMKTAYIAKBRWISFVKSHFSRQ\n");
    auto const outcome = run("tape-msa", {"--set", "family.fasta", "-o", "aligned.fasta"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out, "aligned.fasta: 3 proteins, 22 columns\n");
    EXPECT_EQ(outcome.err, "");
    std::string const aligned = ">whole some words\nMKTAYIAKQRWISFVKSHFSRQ\n>lower\nMKTAYIAKQRW-----SHFSRQ\n"
                                ">odd\nMKTAYIAKBRWISFVKSHFSRQ\n";
    EXPECT_EQ(read("aligned.fasta"), aligned);
    EXPECT_EQ(run("tape-msa", {"--set", "family.fasta", "-o", "-", "--threads", "2", "--quiet"}).out, aligned);
}

TEST_F(TapeMsa, ASetInEveryAlignmentFormat) {
    write("family.fasta", ">a\nMKTAYIAKQRWSHFSRQ\n>b of b\nMKTAYIAKBRWISFVKSHFSRQ\n>c\nMKTAYIAKQRWISFVKSHFSRQ\n");
    std::vector<std::string> const aligned{"MKTAYIAKQRW-----SHFSRQ", "MKTAYIAKBRWISFVKSHFSRQ",
                                           "MKTAYIAKQRWISFVKSHFSRQ"};
    auto const output = [&](std::vector<std::string> const& extra) {
        std::vector<std::string> arguments{"--set", "family.fasta", "-o", "-", "--quiet"};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        auto const outcome = run("tape-msa", arguments);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        return outcome.out;
    };
    EXPECT_EQ(output({}), ">a\n" + aligned[0] + "\n>b of b\n" + aligned[1] + "\n>c\n" + aligned[2] + "\n");
    // A3M and A2M have the columns of the first protein.
    EXPECT_EQ(output({"--format", "a3m"}),
              ">a\nMKTAYIAKQRWSHFSRQ\n>b of b\nMKTAYIAKBRWisfvkSHFSRQ\n>c\nMKTAYIAKQRWisfvkSHFSRQ\n");
    EXPECT_EQ(output({"--format", "a2m"}),
              ">a\nMKTAYIAKQRW.....SHFSRQ\n>b of b\nMKTAYIAKBRWisfvkSHFSRQ\n>c\nMKTAYIAKQRWisfvkSHFSRQ\n");
    EXPECT_EQ(output({"--format", "sto"}), "# STOCKHOLM 1.0\n#=GS b       DE of b\na       " + aligned[0] +
                                               "\nb       " + aligned[1] + "\nc       " + aligned[2] + "\n#=GC RF " +
                                               std::string(22, 'x') + "\n//\n");
    EXPECT_EQ(output({"--format", "aln"}), "CLUSTAL multiple sequence alignment\n\na      " + aligned[0] + "\nb      " +
                                               aligned[1] + "\nc      " + aligned[2] +
                                               "\n       ******** **     ******\n");
    // The name says it too, packed or not; --format has the last word.
    for (std::string const name : {"x.sto", "x.sto.gz"}) {
        EXPECT_EQ(run("tape-msa", {"--set", "family.fasta", "-o", name}).exit_code, 0);
        auto const back = read_msa(path(name));
        EXPECT_EQ(back.rows.at(1).description, "of b");
        EXPECT_EQ(a3m_letters(back.rows.at(2)), "MKTAYIAKQRWisfvkSHFSRQ");
    }
    EXPECT_TRUE(read("x.sto").starts_with("# STOCKHOLM"));
    EXPECT_EQ(run("tape-msa", {"--set", "family.fasta", "-o", "x.sto", "--format", "a3m"}).exit_code, 0);
    EXPECT_EQ(read("x.sto"), output({"--format", "a3m"}));
}

TEST_F(TapeMsa, ASetRefusesWhatItCannotUse) {
    auto const error_of = [&](std::vector<std::string> const& arguments) {
        auto const outcome = run("tape-msa", arguments);
        EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
        return lines(outcome.err).at(0);
    };
    write("family.fasta", ">a\nMKTAY\n>b\n>c\nMKT\n");
    std::string const whole = read("family.fasta");
    EXPECT_NE(error_of({"--set", "family.fasta", "-o", "family.fasta"}).find("--force"), std::string::npos);
    EXPECT_EQ(read("family.fasta"), whole);
    EXPECT_EQ(error_of({"--set", "q.fasta"}), "tape-msa: name the file of the alignment with -o (- is stdout)");
    EXPECT_EQ(error_of({"--set", "q.fasta", "-o", "a", "--format", "a3m,sto"}),
              "tape-msa: --set writes one file; give --format one name");
    EXPECT_EQ(error_of({"--set", "q.fasta", "-o", "a", "--format", "hmm"}),
              "tape-msa: --set writes alignments, and hmm is a profile of one protein: align to .a3m, put it into a "
              "folder as <id>.a3m and run tape-msa QUERY.fasta --msa-dir FOLDER --format hmm");
    EXPECT_EQ(error_of({"--set", "q.fasta", "--db", "db.tdb", "-o", "a.fasta"}),
              "tape-msa: --set aligns the proteins of its file alone; leave out --db");
    EXPECT_EQ(error_of({"--set", "q.fasta", "-o", "a.fasta", "--html"}),
              "tape-msa: --set aligns the proteins of its file alone; leave out --html");
    EXPECT_EQ(error_of({"q.fasta", "--set", "q.fasta", "-o", "a.fasta"}),
              "tape-msa: --set names the proteins to align; leave out 'q.fasta'");
    auto const outcome = run("tape-msa", {"--set", "family.fasta", "-o", "a.fasta"});
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_NE(outcome.err.find("family.fasta:"), std::string::npos) << outcome.err;
}

} // namespace
} // namespace tape
