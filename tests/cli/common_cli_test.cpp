// What every program owes its user: help, version, exit codes, messages.
#include "tests/cli/cli_fixture.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <set>
#include <sstream>

namespace tape::test {
namespace {

struct ProgramCase {
    std::string name;
    std::vector<std::string> working_arguments; ///< enough to get past the usage checks
    double help_seconds;                        ///< start-up promise
};

std::vector<ProgramCase> const programs{
    {"tape-data", {"list"}, 0.02},
    {"tape-report", {"missing.json"}, 0.02},
#ifdef TAPE_TEST_SEARCH
    {"tape-db", {"info", "missing.tdb"}, 0.02},
    {"tape-msa", {"missing.fasta", "--db", "missing.tdb"}, 0.02},
#endif
#ifdef TAPE_TEST_LEARN
    {"tape-compare", {"--features", "msa"}, 0.3},
    {"tape-pretrain", {"--corpus", "missing.fasta", "-o", "run"}, 0.3},
    {"tape-embed", {"missing.fasta", "-o", "e.npz"}, 0.3},
#endif
};

void PrintTo(ProgramCase const& program, std::ostream* out) { *out << program.name; }

/// Words of the text that start with "--", with what follows a letter, digit or dash cut off.
std::set<std::string> options_in(std::string const& text) {
    std::set<std::string> options;
    for (std::size_t at = 0; (at = text.find("--", at)) != std::string::npos;) {
        std::size_t const end =
            std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", at), text.size());
        if (end > at + 2 && (at == 0 || !std::isalnum(static_cast<unsigned char>(text[at - 1]))))
            options.insert(text.substr(at, end - at));
        at = end;
    }
    return options;
}

class EveryProgram : public CliTest, public ::testing::WithParamInterface<ProgramCase> {};

TEST_P(EveryProgram, help_goes_to_stdout_and_succeeds) {
    Outcome const outcome = run(GetParam().name, {"--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    for (auto const* part : {"Usage: ", "--threads", "--help", "--version", "Exit codes"})
        EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
}

TEST_P(EveryProgram, version_is_the_projects) {
    Outcome const outcome = run(GetParam().name, {"--version"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out, GetParam().name + " " TAPE_VERSION "\n");
}

TEST_P(EveryProgram, negative_threads_are_refused) {
    auto arguments = GetParam().working_arguments;
    arguments.insert(arguments.end(), {"--threads", "-1"});
    Outcome const outcome = run(GetParam().name, arguments);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_TRUE(outcome.err.starts_with(GetParam().name + ": --threads: expected 0 or more, saw -1\n")) << outcome.err;
    EXPECT_EQ(outcome.out, "");
}

TEST_P(EveryProgram, an_abbreviated_option_is_not_guessed) {
    Outcome const outcome = run(GetParam().name, {"--thread", "1"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_NE(outcome.err.find("did you mean `--threads`?"), std::string::npos) << outcome.err;
}

TEST_P(EveryProgram, leaves_no_file_behind_after_a_mistake) {
    run(GetParam().name, {"--no-such-option"});
    EXPECT_EQ(files(), std::vector<std::string>{});
}

TEST_P(EveryProgram, help_manual_and_completion_know_the_same_options) {
    auto const help = options_in(run(GetParam().name, {"--help"}).out);
    std::string manual = run(GetParam().name, {"--print-man"}).out;
    for (auto const& [markup, size] : {std::pair{"\\fB", 3}, {"\\-", 1}}) // bold; an escaped dash
        for (std::size_t at; (at = manual.find(markup)) != std::string::npos;)
            manual.erase(at, static_cast<std::size_t>(size));
    EXPECT_EQ(options_in(manual), help);
    std::string const completion = run(GetParam().name, {"--print-completion"}).out;
    for (auto const& option : {"--threads", "--seed", "--quiet", "--force", "--dry-run", "--help", "--version"})
        EXPECT_TRUE(options_in(completion).contains(option)) << option;
    for (auto const& option : options_in(completion)) EXPECT_TRUE(help.contains(option)) << option;
}

TEST_P(EveryProgram, manual_and_completion_are_well_formed) {
    std::istringstream manual{run(GetParam().name, {"--print-man"}).out};
    std::set<std::string> const macros{".TH", ".SH", ".TP", ".PP", ".nf", ".fi", ".br"};
    std::size_t lines = 0;
    for (std::string line; std::getline(manual, line); ++lines) {
        EXPECT_FALSE(line.starts_with('\'')) << line; // a control line that nobody meant
        if (line.starts_with('.')) {
            EXPECT_TRUE(macros.contains(line.substr(0, line.find(' ')))) << line;
        }
    }
    EXPECT_GT(lines, 30u);
    write("completion", run(GetParam().name, {"--print-completion"}).out);
    EXPECT_EQ(std::system(("bash -n " + path("completion").string()).c_str()), 0);
    std::string const asked = ". ./completion; COMP_WORDS=(" + GetParam().name +
                              " --thr); COMP_CWORD=1; f=$(complete -p " + GetParam().name +
                              "); f=${f##*-F }; ${f%% *}; [ \"${COMPREPLY[*]}\" = --threads ]";
    EXPECT_EQ(std::system(("cd " + directory_.string() + " && bash -c '" + asked + "'").c_str()), 0);
}

TEST_P(EveryProgram, starts_quickly) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    double const slack = 20;
#else
    double const slack = 2; // the machine is shared
#endif
    double best = 1e9;
    for (int i = 0; i < 5; ++i) best = std::min(best, run(GetParam().name, {"--help"}).cpu_seconds);
    EXPECT_LT(best, slack * GetParam().help_seconds);
}

INSTANTIATE_TEST_SUITE_P(Programs, EveryProgram, ::testing::ValuesIn(programs), [](auto const& info) {
    std::string name = info.param.name;
    std::ranges::replace(name, '-', '_');
    return name;
});

class Mistakes : public CliTest {};

TEST_F(Mistakes, a_missing_report_input) {
    expect_error("tape-report", {"missing.json", "-o", "x.html"}, 3, {"missing.json", "No such file"});
}

TEST_F(Mistakes, a_truncated_result) {
    write("result.json", R"({"format_version": 1, "preset": "qui)");
    expect_error("tape-report", {"result.json", "-o", "x.html"}, 3, {"result.json"});
}

#ifdef TAPE_TEST_SEARCH
TEST_F(Mistakes, an_empty_fasta) {
    write("empty.fasta", "");
    write("db.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n");
    expect_error("tape-msa", {"empty.fasta", "--db", "db.fasta", "-o", "out"}, 3, {"empty.fasta"});
    expect_error("tape-db", {"build", "empty.fasta", "-o", "e.tdb"}, 3, {"empty.fasta"});
}

TEST_F(Mistakes, a_missing_query_or_database) {
    write("q.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n");
    expect_error("tape-msa", {"missing.fasta", "--db", "q.fasta", "-o", "out"}, 3, {"missing.fasta", "No such file"});
    expect_error("tape-msa", {"q.fasta", "--db", "missing.tdb", "-o", "out"}, 3, {"missing.tdb", "No such file"});
}

TEST_F(Mistakes, a_wrong_letter_names_file_line_and_record) {
    write("bad.fasta", ">good\nMKTAY\n>bad one\nMKT1Y\n");
    expect_error("tape-db", {"build", "bad.fasta", "-o", "b.tdb"}, 3, {"bad.fasta:4", "'1'", "bad"});
}

TEST_F(Mistakes, a_truncated_database) {
    write("db.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n>b\nMKTAYIAKQRQISFVKSHFSRQ\n");
    ASSERT_EQ(run("tape-db", {"build", "db.fasta", "-o", "d.tdb"}).exit_code, 0);
    std::filesystem::resize_file(path("d.tdb"), std::filesystem::file_size(path("d.tdb")) - 7);
    expect_error("tape-msa", {"db.fasta", "--db", "d.tdb", "-o", "out"}, 3, {"d.tdb"});
}

TEST_F(Mistakes, a_database_through_a_pipe) {
    write("db.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n>b\nMKTAYIAKQRQIS\n");
    ASSERT_EQ(run("tape-db", {"build", "db.fasta", "-o", "d.tdb"}).exit_code, 0);
    Outcome const piped = run("tape-db", {"build", "db.fasta", "-o", "-"});
    EXPECT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_EQ(piped.out, read("d.tdb"));
    EXPECT_EQ(run("tape-db", {"build", "db.fasta", "-o", "/dev/null"}).exit_code, 0);
}

TEST_F(Mistakes, a_full_disk_leaves_nothing) {
    std::string fasta;
    for (int i = 0; i < 3000; ++i)
        fasta += ">p" + std::to_string(i) + "\n" + std::string(200, "ACDEFGHIKL"[i % 10]) + "\n";
    write("db.fasta", fasta);
    auto const before = files();
    Outcome const outcome = run("tape-db", {"build", "db.fasta", "-o", "d.tdb"}, 64 << 10);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
    EXPECT_NE(outcome.err.find("d.tdb"), std::string::npos) << outcome.err;
    EXPECT_EQ(files(), before);
}

TEST_F(Mistakes, the_same_search_twice_gives_the_same_bytes_for_any_thread_count) {
    std::string fasta;
    std::string const parent = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV";
    for (int i = 0; i < 40; ++i) {
        std::string relative = parent;
        for (std::size_t at = static_cast<std::size_t>(i) % 7; at < relative.size(); at += 7)
            relative[at] = "ACDEFGHIKLMNPQRSTVWY"[(at + static_cast<std::size_t>(i)) % 20];
        fasta += ">r" + std::to_string(i) + "\n" + relative + "\n";
    }
    write("db.fasta", fasta);
    write("q.fasta", ">q\n" + parent + "\n");
    ASSERT_EQ(run("tape-db", {"build", "db.fasta", "-o", "d.tdb"}).exit_code, 0);
    ASSERT_EQ(run("tape-msa", {"q.fasta", "--db", "d.tdb", "--rounds", "3", "-o", "one", "--threads", "1"}).exit_code,
              0);
    ASSERT_EQ(run("tape-msa", {"q.fasta", "--db", "d.tdb", "--rounds", "3", "-o", "two", "--threads", "2"}).exit_code,
              0);
    EXPECT_GT(std::ranges::count(read("one/q.a3m"), '>'), 20);
    EXPECT_EQ(read("one/q.a3m"), read("two/q.a3m"));
    EXPECT_EQ(read("one/q.features.npz"), read("two/q.features.npz"));
    EXPECT_EQ(read("one/hits.tsv"), read("two/hits.tsv"));
}
#endif

#ifdef TAPE_TEST_LEARN
TEST_F(Mistakes, an_unknown_arm_names_the_closest) {
    expect_error("tape-compare", {"--features", "msa,transfomer", "-o", "out"}, 2,
                 {"transfomer", "did you mean `transformer`?"});
}

TEST_F(Mistakes, an_unknown_task_names_the_closest) {
    expect_error("tape-compare", {"--features", "msa", "--tasks", "flourescence", "-o", "out"}, 2,
                 {"flourescence", "did you mean `fluorescence`?"});
}

TEST_F(Mistakes, a_missing_model) {
    write("q.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n");
    expect_error("tape-embed", {"q.fasta", "--model", "nowhere", "-o", "e.npz"}, 2, {"no model 'nowhere'"});
}

TEST_F(Mistakes, a_truncated_checkpoint) {
    write("q.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQ\n>b\nGSHMASMTGGQQMGRGS\n");
    ASSERT_EQ(
        run("tape-pretrain", {"--corpus", "q.fasta", "--model", "transformer", "--hidden", "16", "--layers", "1",
                              "--heads", "2", "--steps", "2", "--checkpoint-every", "1", "-o", "run", "--threads", "1"})
            .exit_code,
        0);
    std::filesystem::resize_file(path("run/model.safetensors"),
                                 std::filesystem::file_size(path("run/model.safetensors")) / 2);
    expect_error("tape-embed", {"q.fasta", "--model", "run", "-o", "e.npz", "--threads", "1"}, 3,
                 {"model.safetensors"});
}
#endif

} // namespace
} // namespace tape::test
