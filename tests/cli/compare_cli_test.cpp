// tape-compare as someone with a table of their own meets it: every mistake in the table and the options that read
// files, a plan, and a run that is killed and taken up again.
#include "tests/cli/cli_fixture.hpp"

#include <algorithm>
#include <regex>

namespace tape::test {
namespace {

#ifdef TAPE_TEST_LEARN
class Compare : public CliTest {
  protected:
    /// Runs tape-compare and expects exactly this on stderr, nothing on stdout, and nothing left behind.
    void expect_refusal(std::vector<std::string> const& arguments, int exit_code, std::string const& message) {
        auto const before = files();
        Outcome const outcome = run("tape-compare", arguments);
        EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
        EXPECT_EQ(outcome.err, "tape-compare: " + message + "\n");
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(files(), before);
    }

    /// The same for a table given to --tasks.
    void expect_refusal_of(std::string const& name, std::string const& table, std::string const& message) {
        write(name, table);
        expect_refusal({"--tasks", name, "--features", "onehot", "-o", "out"}, 3, name + message);
    }

    /// A table of variants of one protein whose value is its share of hydrophobic residues.
    void write_assay(std::string const& name) const {
        std::string const wild_type = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRV", letters = "ACDEFGHIKLMNPQRSTVWY";
        std::string table = "id,sequence,split,value\n";
        for (int i = 0; i < 40; ++i) {
            std::string variant = wild_type;
            for (std::size_t at = static_cast<std::size_t>(i) % 5; at < variant.size(); at += 5)
                variant[at] = letters[(7 * at + 3 * static_cast<std::size_t>(i)) % 20];
            auto const hydrophobic = std::ranges::count_if(
                variant, [](char letter) { return std::string{"AILMFVWY"}.find(letter) != std::string::npos; });
            table += "v" + std::to_string(i) + "," + variant + "," +
                     (i % 4 == 0   ? "test"
                      : i % 4 == 1 ? "valid"
                                   : "train") +
                     "," + std::to_string(hydrophobic) + "\n";
        }
        write(name, table);
    }
};

std::string const head = "id,sequence,split,value\n";
std::string const rest = "b,MKVLA,train,2\nc,MKVLC,valid,1\nd,MKVLD,test,3\n";

TEST_F(Compare, names_what_a_table_of_ones_own_lacks) {
    expect_refusal({"--tasks", "none.csv"}, 3, "none.csv: cannot open: No such file or directory");
    expect_refusal_of("mine.csv", "", ": is empty; expected CSV with a header line, or JSON");
    expect_refusal_of("mine.csv", "id,sequence,value\na,MKV,1\n",
                      ":1: column 'split' is missing; give train, valid or test for each record; it has 'id, sequence "
                      "and value'");
    expect_refusal_of("mine.csv", "id,sequence,split,fitness\na,MKV,train,1\n",
                      ":1: no column says what to predict; name one value, class, labels or contacts; it has 'fitness, "
                      "id, sequence and split'");
    expect_refusal_of("mine.csv", "id\tsequence\tsplit\tvalue\na\tMKV\ttrain\t1\n",
                      ":1: no column says what to predict; name one value, class, labels or contacts; it has "
                      "'id\\x09sequence\\x09split\\x09value': separate columns by commas, not by tabs");
    expect_refusal_of("mine.csv", "name,sequence,split,value\na,MKV,train,1\nb,MKV,valid,1\nc,MKV,test,1\n",
                      ":1: column 'id' is missing; task 'mine' needs id, sequence, split and value, the header has "
                      "'name, sequence, split and value'");
    expect_refusal_of("mine.csv", head,
                      ": no record of split 'train'; every task needs some to train on, some to choose by and some to "
                      "test on");
}

TEST_F(Compare, names_line_and_record_of_a_wrong_entry) {
    expect_refusal_of("mine.csv", head + "a,MKV,trian,1\n" + rest,
                      ":2: column 'split' is 'trian'; expected train, valid or test (record 'a')");
    expect_refusal_of("mine.csv", head + rest + "e,MKV,test,high\n",
                      ":5: column 'value' is 'high'; expected a finite number (record 'e')");
    expect_refusal_of("mine.csv", head + rest + "b,MKV,test,1\n",
                      ":5: duplicate id 'b', first seen on line 2; ids must be unique");
    expect_refusal_of("mine.csv", head + rest + "e,MK1V,test,1\n",
                      ":5: column 'sequence' has '1' at position 3, which is no residue letter (record 'e')");
    expect_refusal_of("mine.csv", head + rest + "e,MKV,test\n", ":5: 3 columns where the header has 4 (record 'e')");
    expect_refusal_of("sites.csv", "id,sequence,split,labels\na,MKVL,train,HHEC\nb,MKVL,valid,HHE\nc,MKVL,test,HHEC\n",
                      ":3: column 'labels' has 3 labels for 4 residues (record 'b')\n"
                      "  caused by: 1 missing label; re-export the file or drop the record with --skip-bad-records");
    expect_refusal_of("mine.json",
                      R"([{"id":"a","sequence":"MKV","split":"train","value":1},
                          {"id":"b","sequence":"MKV","split":"tset","value":1}])",
                      ", record 2: column 'split' is 'tset'; expected train, valid or test (record 'b')");
}

TEST_F(Compare, says_what_is_wrong_with_the_command_line) {
    std::string const help = "\nTry 'tape-compare --help'.";
    write("mine.csv", head + "a,MKV,train,1\n" + rest);
    write("stability.csv", head + "a,MKV,train,1\n" + rest);
    expect_refusal({"--tasks", "fluorescense"}, 2,
                   "unknown task `fluorescense` (did you mean `fluorescence`?); known: all, secondary_structure, "
                   "secondary_structure_q8, contact, remote_homology, fluorescence, stability" +
                       help);
    expect_refusal({"--tasks", "mine.csv,mine.csv"}, 2,
                   "mine.csv: another file of --tasks is called `mine` too; name each once, or rename one" + help);
    expect_refusal({"--tasks", "stability.csv"}, 2,
                   "stability.csv: a task of the benchmark is called 'stability'; rename the file" + help);
    expect_refusal({"--preset", "sed-finding"}, 2,
                   "--preset: expected quick, seed-finding or full, saw 'sed-finding' (did you mean `seed-finding`?)" +
                       help);
    expect_refusal({"--tasks", "mine.csv", "--head", "storng"}, 2,
                   "--head: expected published or strong, saw 'storng' (did you mean `strong`?)" + help);
    expect_refusal({"mine.csv"}, 2, "unexpected argument 'mine.csv'" + help);
    // Files that are read late are opened first, for a plan too.
    for (auto const* option : {"--corpus", "--db"})
        for (std::vector<std::string> const& more : {std::vector<std::string>{}, {"--dry-run"}}) {
            std::vector<std::string> line{"--tasks", "mine.csv", "--features", "onehot", option, "none.fasta"};
            line.insert(line.end(), more.begin(), more.end());
            expect_refusal(line, 3, "none.fasta: cannot open: No such file or directory");
        }
    expect_refusal({"--tasks", "mine.csv", "--msa-dir", "none", "--dry-run"}, 3,
                   "none: no such directory of alignments (--msa-dir)");
}

TEST_F(Compare, the_plan_of_the_published_finding_is_told_and_nothing_done) {
    auto const before = files();
    Outcome const outcome = run("tape-compare", {"--preset", "seed-finding", "--dry-run", "-o", "finding"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(outcome.out.starts_with("arms: onehot msa transformer transformer@random msa+transformer\n"
                                        "seeds: 0 1\n"
                                        "\n"
                                        "task                    train  valid   test\n"
                                        "secondary_structure      6000    500    513\n"
                                        "contact                   600     50    150\n"
                                        "remote_homology         12312    736    718\n"
                                        "fluorescence            21446   5362  27217\n"
                                        "stability               53614   2512  12851\n"
                                        "\n"))
        << outcome.out;
    std::smatch found;
    EXPECT_TRUE(std::regex_search(outcome.out, found,
                                  std::regex{"\n38 heads to fit, [0-9]+ min; in all about ([0-9]+) min on two cores "
                                             "and [0-9.]+ GB of cache, if nothing is cached yet. Nothing was computed "
                                             "or written.\n$"}))
        << outcome.out;
    if (!found.empty()) {
        EXPECT_LT(std::stoi(found[1]), 180) << "the finding is to take three hours at most";
    }
    EXPECT_EQ(files(), before);
}

#ifdef TAPE_TEST_SEARCH
TEST_F(Compare, a_wrong_corpus_is_told_before_any_head_is_fitted) {
    write("mine.csv", head + "a,MKV,train,1\n" + rest);
    write("corpus.fasta", "MKTAY\n");
    expect_refusal({"--tasks", "mine.csv", "--features", "onehot", "--corpus", "corpus.fasta", "-o", "out", "--quiet"},
                   3, "corpus.fasta:1: 'MKTAY' before the first '>'; expected FASTA, '>' and an id");
}

TEST_F(Compare, relatives_in_the_corpus_are_counted) {
    write_assay("assay.csv");
    write("corpus.fasta", ">wild\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRV\n");
    Outcome const outcome = run("tape-compare", {"--tasks", "assay.csv", "--features", "onehot", "--seeds", "1", "-o",
                                                 "out", "--corpus", "corpus.fasta", "--quiet"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(read("out/leaks.tsv").find("corpus.fasta"), std::string::npos) << read("out/leaks.tsv");
}
#endif

TEST_F(Compare, a_run_that_was_killed_ends_with_the_same_report) {
    write_assay("assay.csv");
    std::vector<std::string> const line{"--tasks",
                                        "ss,assay.csv",
                                        "--features",
                                        "onehot,transformer@random",
                                        "--train-limit",
                                        "12",
                                        "--valid-limit",
                                        "4",
                                        "--test-limit",
                                        "6",
                                        "--max-epochs",
                                        "2",
                                        "--seeds",
                                        "3",
                                        "--threads",
                                        "1",
                                        "--cache",
                                        "cache",
                                        "-o",
                                        "out",
                                        "--quiet"};
    auto const whole = run("tape-compare", line);
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    std::filesystem::rename(path("out"), path("whole"));
    std::filesystem::remove_all(path("cache"));

    auto const stored = [this] {
        std::error_code none;
        std::size_t runs = 0;
        for (auto const& entry : std::filesystem::recursive_directory_iterator{path("cache/runs"), none})
            runs += entry.is_regular_file();
        return runs;
    };
    auto const killed = run_until("tape-compare", line, [&] { return stored() >= 2; });
    ASSERT_EQ(killed.exit_code, 128 + 9) << "it ended before it could be killed";
    EXPECT_FALSE(std::filesystem::exists(path("out/result.json")));
    auto const kept = stored();
    auto const resumed = run("tape-compare", line);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_GT(stored(), kept) << "nothing was left to do";

    std::vector<std::string> compared;
    for (auto const& name : files())
        if (name.starts_with("whole/") && !name.ends_with(".manifest.json")) compared.push_back(name.substr(6));
    EXPECT_GT(compared.size(), 6u);
    for (auto const& name : compared)
        if (name != "report.html") {
            EXPECT_TRUE(read("whole/" + name) == read("out/" + name)) << name;
        }
    // The report differs in what the manifest says of times, and in nothing else.
    std::filesystem::copy_file(path("whole/result.json.manifest.json"), path("out/result.json.manifest.json"),
                               std::filesystem::copy_options::overwrite_existing);
    ASSERT_EQ(run("tape-report", {"out/result.json", "-o", "again.html"}).exit_code, 0);
    EXPECT_TRUE(read("again.html") == read("whole/report.html"));
    EXPECT_GT(read("again.html").size(), 10'000u);
}
#endif

} // namespace
} // namespace tape::test
