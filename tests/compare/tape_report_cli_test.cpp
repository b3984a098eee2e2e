// tape-report as its user meets it: outputs, messages word for word, exit codes.
#include "compare/report.hpp"

#include "tests/cli/cli_fixture.hpp"
#include "tests/compare/synthetic_result.hpp"

namespace tape::test {
namespace {

class TapeReport : public CliTest {
  protected:
    void SetUp() override {
        CliTest::SetUp();
        write_result(path("result.json"), small(1));
    }

    static Result small(std::uint64_t seed) {
        return synthetic_result({.residue_proteins = 12,
                                 .pair_proteins = 4,
                                 .class_proteins = 20,
                                 .variants = 40,
                                 .seeds = 2,
                                 .embedding_points = 20,
                                 .alignment_rows = 4},
                                seed);
    }

    /// The arguments after those that keep it quick.
    Outcome report(std::vector<std::string> arguments, unsigned long file_limit = 0) {
        arguments.insert(arguments.end(), {"--resamples", "100", "--permutations", "100"});
        return run("tape-report", arguments, file_limit);
    }

    void expect_refusal(std::vector<std::string> const& arguments, int exit_code, std::string const& message) {
        auto const before = files();
        Outcome const outcome = report(arguments);
        EXPECT_EQ(outcome.exit_code, exit_code);
        EXPECT_EQ(outcome.err,
                  "tape-report: " + message + "\n" + (exit_code == 2 ? "Try 'tape-report --help'.\n" : ""));
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(files(), before) << "nothing partial is left";
    }
};

TEST_F(TapeReport, makes_the_report_of_the_experiment_again) {
    Outcome const outcome = report({"result.json", "-o", "again.html", "--tsv", "table.tsv"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(outcome.out.starts_with("task ")) << outcome.out;
    ResamplingOptions options;
    options.resamples = options.permutations = 100;
    auto const result = small(1);
    EXPECT_EQ(read("again.html"), report_html(result, analyse(result, options)));
    EXPECT_TRUE(read("table.tsv").starts_with("task\tmetric\tarm\tvalue\t"));
}

TEST_F(TapeReport, gives_the_same_bytes_for_any_number_of_threads) {
    ASSERT_EQ(report({"result.json", "-o", "one.html", "--threads", "1"}).exit_code, 0);
    ASSERT_EQ(report({"result.json", "-o", "three.html", "--threads", "3"}).exit_code, 0);
    EXPECT_EQ(read("one.html"), read("three.html"));
}

TEST_F(TapeReport, merges_runs_by_the_names_of_their_folders) {
    std::filesystem::create_directory(path("small"));
    std::filesystem::create_directory(path("large"));
    write_result(path("small/result.json"), small(1));
    write_result(path("large/result.json"), small(1));
    ASSERT_EQ(report({"small/result.json", "large/result.json", "-o", "both.html"}).exit_code, 0);
    EXPECT_NE(read("both.html").find("msa [small]"), std::string::npos);
    EXPECT_NE(read("both.html").find("msa [large]"), std::string::npos);
    ASSERT_EQ(report({"small/result.json", "large/result.json", "-o", "named.html", "--labels", "a,b"}).exit_code, 0);
    EXPECT_NE(read("named.html").find("msa [b]"), std::string::npos);
}

TEST_F(TapeReport, writes_to_stdout_and_then_nothing_else) {
    EXPECT_TRUE(report({"result.json", "-o", "-"}).out.starts_with("<!doctype html>\n"));
    EXPECT_TRUE(report({"result.json", "--tsv", "-"}).out.starts_with("task\tmetric\t"));
    EXPECT_TRUE(report({"result.json", "--markdown", "-"}).out.starts_with("| Arm | "));
    EXPECT_TRUE(report({"result.json", "--statistics", "-"}).out.starts_with("{\n"));
    EXPECT_EQ(report({"result.json", "--quiet"}).out, "");
}

TEST_F(TapeReport, writes_every_figure_and_number) {
    ASSERT_EQ(report({"result.json", "--figures", "figures", "--statistics", "numbers.json"}).exit_code, 0);
    EXPECT_TRUE(read("figures/differences.tsv").starts_with("task\ta\tb\tquestion\t"));
    EXPECT_NE(read("figures/calibration-0.svg").find("<svg"), std::string::npos);
    EXPECT_NE(read("numbers.json").find("\"p_holm\""), std::string::npos);
}

TEST_F(TapeReport, dry_run_checks_and_writes_nothing) {
    auto const before = files();
    Outcome const outcome = report({"result.json", "-o", "again.html", "--dry-run"});
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out, "6 tasks, 6 arms; would write again.html\n");
    EXPECT_EQ(files(), before);
}

TEST_F(TapeReport, says_what_is_wrong_with_the_command_line) {
    expect_refusal({}, 2, "missing <result>");
    expect_refusal({"result.json", "-o", "result.json"}, 2,
                   "an output would overwrite the input result.json; choose another name");
    expect_refusal({"result.json", "-o", "-", "--tsv", "-"}, 2,
                   "only one of --output, --tsv, --markdown and --statistics can be stdout");
    expect_refusal({"result.json", "result.json", "--labels", "a"}, 2, "1 labels for 2 results");
    expect_refusal({"result.json", "result.json", "--labels", "a,a"}, 2,
                   "two runs have the same label; name them with --labels A,B");
}

TEST_F(TapeReport, says_what_is_wrong_with_the_input) {
    expect_refusal({"absent.json"}, 3, "absent.json: cannot open: No such file or directory");
    std::string const whole = read("result.json");
    write("cut.json", whole.substr(0, 1000));
    expect_refusal(
        {"cut.json"}, 3,
        "cut.json:1: not JSON, or cut short, at byte 1000 of 1000; give a result.json as tape-compare wrote it");
    write("empty.json", "");
    expect_refusal({"empty.json"}, 3,
                   "empty.json:1: not JSON, or cut short, at byte 0 of 0; give a result.json as tape-compare wrote it");
    write("other.json", "{\"format\": \"something else\"}");
    expect_refusal(
        {"other.json"}, 3,
        "other.json: format: expected \"tape-compare result\", as tape-compare writes it, found \"something else\"");
    write("nothing.json", "{}");
    expect_refusal({"nothing.json"}, 3, "nothing.json: top level: missing key 'format'");
}

TEST_F(TapeReport, leaves_nothing_behind_on_a_full_disk) {
    auto const before = files();
    Outcome const outcome = report({"result.json", "-o", "again.html"}, 20000);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.err.find("again.html"), std::string::npos) << outcome.err;
    EXPECT_EQ(files(), before);
    expect_refusal({"result.json", "-o", "no/such/folder.html"}, 1,
                   "no/such/folder.html: cannot write: the directory no/such does not exist");
}

} // namespace
} // namespace tape::test
