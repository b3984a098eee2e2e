#include "apps/cli.hpp"
#include "data/error.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <iostream>
#include <sstream>

namespace tape::cli {
namespace {

Program const program{
    .name = "tape-x",
    .purpose = "does nothing, for tests",
    .usage = "tape-x <query> [FILE...] [options]",
    .options =
        {{.name = "<query>",
          .kind = Kind::text,
          .default_value = {},
          .help = "what to read",
          .group = "Arguments",
          .required = true},
         {.name = "<more>", .kind = Kind::list, .default_value = {}, .help = "more to read", .group = "Arguments"},
         {.name = "output",
          .kind = Kind::text,
          .default_value = "out",
          .help = "where to write",
          .placeholder = "FILE",
          .short_name = 'o'},
         {.name = "features",
          .kind = Kind::list,
          .default_value = "msa,onehot",
          .help = "arms",
          .choices = {"msa", "onehot", "lstm"}},
         {.name = "rounds", .kind = Kind::integer, .default_value = "3", .help = "rounds", .minimum = 1, .maximum = 10},
         {.name = "evalue", .kind = Kind::real, .default_value = "0.001", .help = "largest E-value", .minimum = 0},
         device_option()},
    .examples = {"tape-x a.fasta"},
    .notes = "A note.\n",
};

struct Run {
    int code = 0;
    std::string out, err;
    Arguments arguments;
    bool ran = false;
};

Run run_with(std::vector<std::string> const& words, std::function<void(Arguments const&)> const& body = {}) {
    std::vector<char const*> argv{"tape-x"};
    for (auto const& word : words) argv.push_back(word.c_str());
    std::ostringstream out, err;
    auto* const old_out = std::cout.rdbuf(out.rdbuf());
    auto* const old_err = std::cerr.rdbuf(err.rdbuf());
    Run result;
    result.code = run(program, static_cast<int>(argv.size()), argv.data(), [&](Arguments const& arguments) {
        result.ran = true;
        result.arguments = arguments;
        if (body) body(arguments);
    });
    std::cout.rdbuf(old_out);
    std::cerr.rdbuf(old_err);
    result.out = out.str(), result.err = err.str();
    return result;
}

/// The message of a usage error, without the program's name in front and the pointer to --help behind.
std::string usage(std::vector<std::string> const& words) {
    auto const result = run_with(words);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_FALSE(result.ran);
    EXPECT_EQ(result.out, "");
    std::string const tail = "\nTry 'tape-x --help'.\n";
    EXPECT_EQ(result.err.find("tape-x: "), 0u) << result.err;
    EXPECT_TRUE(result.err.ends_with(tail)) << result.err;
    return result.err.substr(8, result.err.size() - 8 - tail.size());
}

TEST(Cli, ValuesComeFromTheLineOrTheTable) {
    auto const result =
        run_with({"q.fasta", "a", "b", "-o", "x", "--features=lstm,msa", "--evalue", "1e-5", "--quiet"});
    ASSERT_TRUE(result.ran) << result.err;
    Arguments const& arguments = result.arguments;
    EXPECT_EQ(arguments.text("<query>"), "q.fasta");
    EXPECT_EQ(arguments.list("<more>"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(arguments.positional(), (std::vector<std::string>{"q.fasta", "a", "b"}));
    EXPECT_EQ(arguments.text("output"), "x");
    EXPECT_EQ(arguments.list("features"), (std::vector<std::string>{"lstm", "msa"}));
    EXPECT_EQ(arguments.real("evalue"), 1e-5);
    EXPECT_EQ(arguments.integer("rounds"), 3);
    EXPECT_EQ(arguments.integer("threads"), 0);
    EXPECT_TRUE(arguments.flag("quiet") && arguments.has("output"));
    EXPECT_FALSE(arguments.flag("force") || arguments.has("rounds"));
    EXPECT_EQ(arguments.argv().size(), 10u);
    EXPECT_EQ(arguments.argv()[0], "tape-x");
}

TEST(Cli, DashIsAnArgumentAndDoubleDashEndsOptions) {
    EXPECT_EQ(run_with({"-"}).arguments.text("<query>"), "-");
    EXPECT_EQ(run_with({"--", "--help"}).arguments.text("<query>"), "--help");
    EXPECT_EQ(run_with({"q", "-ofile"}).arguments.text("output"), "file");
}

TEST(Cli, NumbersAreCheckedWithTheirSign) {
    EXPECT_EQ(usage({"q", "--threads", "-1"}), "--threads: expected 0 or more, saw -1");
    EXPECT_EQ(usage({"q", "--threads=-1"}), "--threads: expected 0 or more, saw -1");
    EXPECT_EQ(usage({"q", "--rounds", "0"}), "--rounds: expected 1 or more, saw 0");
    EXPECT_EQ(usage({"q", "--rounds", "11"}), "--rounds: expected at most 10, saw 11");
    EXPECT_EQ(usage({"q", "--rounds", "two"}), "--rounds: expected a whole number, saw 'two'");
    EXPECT_EQ(usage({"q", "--rounds", "2.5"}), "--rounds: expected a whole number, saw '2.5'");
    EXPECT_EQ(usage({"q", "--rounds", "2x"}), "--rounds: expected a whole number, saw '2x'");
    EXPECT_EQ(usage({"q", "--rounds", "99999999999999999999"}),
              "--rounds: 99999999999999999999 is out of range; expected 1 to 10");
    EXPECT_EQ(usage({"q", "--evalue", "-0.5"}), "--evalue: expected 0 or more, saw -0.5");
    EXPECT_EQ(usage({"q", "--evalue", "nan"}), "--evalue: expected a number, saw 'nan'");
    EXPECT_EQ(usage({"q", "--evalue", ""}), "--evalue: expected a number, saw ''");
    EXPECT_EQ(run_with({"q", "--rounds", "+4"}).arguments.integer("rounds"), 4);
}

TEST(Cli, ChoicesNameTheClosest) {
    EXPECT_EQ(usage({"q", "--device", "gpu"}), "--device: expected auto, cpu or cuda, saw 'gpu' (did you mean `cpu`?)");
    EXPECT_EQ(usage({"q", "--features", "msa,lstn"}),
              "--features: expected msa, onehot or lstm, saw 'lstn' (did you mean `lstm`?)");
    EXPECT_EQ(usage({"q", "--features", "msa,,lstm"}), "--features: empty entry in 'msa,,lstm'");
}

TEST(Cli, NothingIsGuessed) {
    EXPECT_EQ(usage({"q", "--thread", "1"}), "unknown option '--thread' (did you mean `--threads`?)");
    EXPECT_EQ(usage({"q", "--feautres=msa"}), "unknown option '--feautres' (did you mean `--features`?)");
    EXPECT_EQ(usage({"q", "-z"}), "unknown option '-z'");
    EXPECT_EQ(usage({"q", "--output"}), "--output: expected a value");
    EXPECT_EQ(usage({"q", "--quiet=1"}), "--quiet: takes no value");
    EXPECT_EQ(usage({"q", "--rounds", "1", "--rounds", "2"}), "--rounds: given more than once");
    EXPECT_EQ(usage({}), "missing <query>");
}

TEST(Cli, SurplusArgumentsAreNamed) {
    Program narrow{.name = "tape-x",
                   .purpose = "p",
                   .usage = "u",
                   .options = {{.name = "<query>", .default_value = {}, .help = "h"}}};
    std::vector<char const*> const argv{"tape-x", "a", "b"};
    std::ostringstream err;
    auto* const old = std::cerr.rdbuf(err.rdbuf());
    int const code = run(narrow, 3, argv.data(), [](Arguments const&) {});
    std::cerr.rdbuf(old);
    EXPECT_EQ(code, 2);
    EXPECT_EQ(err.str(), "tape-x: unexpected argument 'b'\nTry 'tape-x --help'.\n");
}

TEST(Cli, HelpAndVersionWorkWithoutRequiredArguments) {
    for (auto const& words : {std::vector<std::string>{"--help"}, {"-h"}, {"--rounds", "zero", "--help"}}) {
        auto const result = run_with(words);
        EXPECT_EQ(result.code, 0);
        EXPECT_EQ(result.err, "");
        EXPECT_FALSE(result.ran);
        EXPECT_EQ(result.out, help_text(program));
    }
    EXPECT_EQ(run_with({"--version"}).out, "tape-x " TAPE_VERSION "\n");
}

TEST(Cli, HelpShowsEveryRowOfTheTable) {
    std::string const help = help_text(program);
    for (std::string const line :
         {"tape-x - does nothing, for tests\n", "Usage: tape-x <query> [FILE...] [options]\n", "Arguments:\n",
          "  <query>                     what to read [required]\n",
          "  -o, --output FILE           where to write [default out]\n",
          "      --rounds N              rounds [1 to 10; default 3]\n",
          "      --features LIST         arms [one of msa, onehot or lstm; default",
          "      --device auto|cpu|cuda  where tensors live", "  -q, --quiet  ", "Examples:\n  tape-x a.fasta\n",
          "A note.\n", "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input data.\n"})
        EXPECT_NE(help.find(line), std::string::npos) << line << help;
    std::istringstream lines{help};
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Cli, ExitCodesFollowTheInnermostError) {
    auto const data = run_with({"q"}, [](Arguments const&) {
        try {
            throw data_error{"in.fasta:3: bad"};
        } catch (...) {
            std::throw_with_nested(error{"while reading"});
        }
    });
    EXPECT_EQ(data.code, 3);
    EXPECT_EQ(data.err, "tape-x: while reading\n  caused by: in.fasta:3: bad\n");
    EXPECT_EQ(run_with({"q"}, [](Arguments const&) { throw std::runtime_error{"x"}; }).code, 1);
    EXPECT_EQ(run_with({"q"}, [](Arguments const&) { throw 1; }).code, 1);
    auto const memory = run_with({"q"}, [](Arguments const&) { throw std::bad_alloc{}; });
    EXPECT_EQ(memory.err, "tape-x: out of memory; give it fewer or shorter sequences, or fewer threads\n");
    EXPECT_EQ(
        run_with({"q"}, [](Arguments const& arguments) { static_cast<void>(arguments.text("no-such-option")); }).code,
        1);
}

/// What a shell command prints, given `input`.
std::string output_of(std::string const& command) {
    std::string text;
    FILE* const pipe = ::popen(command.c_str(), "r");
    for (int letter; (letter = std::fgetc(pipe)) != EOF;) text += static_cast<char>(letter);
    EXPECT_EQ(::pclose(pipe), 0) << command;
    return text;
}

std::string completions(std::string const& words, int position) {
    std::string const script = bash_completion(program);
    return output_of("bash -c '" + script + "\nCOMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(position) +
                     "; _tape_x; echo \"${COMPREPLY[*]}\"'");
}

TEST(Cli, BashCompletesOptionsAndTheirValues) {
    EXPECT_EQ(completions("tape-x --thr", 1), "--threads\n");
    EXPECT_EQ(completions("tape-x --device c", 2), "cpu cuda\n");
    EXPECT_EQ(completions("tape-x --rounds 1", 2), "\n");
    EXPECT_EQ(run_with({"--print-completion"}).out, bash_completion(program));
}

TEST(Cli, ManPageHoldsEveryOptionEscaped) {
    std::string const page = man_page(program);
    EXPECT_EQ(run_with({"--print-man"}).out, page);
    EXPECT_EQ(page.find(".TH \"TAPE\\-X\" 1"), 0u);
    for (std::string const part :
         {".SH NAME\ntape\\-x \\- does nothing, for tests\n", "\\fB\\-o, \\-\\-output FILE\\fR\nwhere to write",
          "\\fB\\-\\-rounds N\\fR", ".SH \"COMMON OPTIONS\"", ".SH EXAMPLES\n.nf\ntape\\-x a.fasta\n.fi\n",
          ".SH \"EXIT STATUS\""})
        EXPECT_NE(page.find(part), std::string::npos) << part;
}

} // namespace
} // namespace tape::cli
