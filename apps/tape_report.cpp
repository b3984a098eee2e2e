#include "apps/cli.hpp"
#include "compare/report.hpp"
#include "compare/report_merge.hpp"
#include "compare/summary.hpp"
#include "data/error.hpp"
#include "data/io.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;
namespace fs = std::filesystem;

tape::cli::Program program() {
    tape::cli::Program program{
        .name = "tape-report",
        .purpose = "make the report again from a saved result, or one report of several runs side by side",
        .usage = "tape-report RESULT.json... [options]",
        .options = {}};
    program.options = {
        {.name = "<result>",
         .kind = Kind::list,
         .default_value = {},
         .help = "result.json of tape-compare; several are merged, their arms side by side",
         .group = "Input",
         .placeholder = "RESULT.json",
         .required = true},
        {.name = "labels",
         .kind = Kind::list,
         .default_value = {},
         .help = "names of the runs, in the order of the files; their folders' names otherwise",
         .group = "Input",
         .placeholder = "A,B,..."},
        {.name = "output",
         .default_value = {},
         .help = "the report, one self-contained HTML file; - is stdout",
         .group = "Output",
         .placeholder = "FILE.html",
         .short_name = 'o'},
        {.name = "tsv",
         .default_value = {},
         .help = "every metric of every arm as a table; - is stdout",
         .group = "Output",
         .placeholder = "FILE.tsv"},
        {.name = "markdown",
         .default_value = {},
         .help = "headline values of every arm as a Markdown table, with TAPE's published rows; - is stdout",
         .group = "Output",
         .placeholder = "FILE.md"},
        {.name = "statistics",
         .default_value = {},
         .help = "every number of the report but the predictions, as JSON; - is stdout",
         .group = "Output",
         .placeholder = "FILE.json"},
        {.name = "figures",
         .default_value = {},
         .help = "folder for the drawings (SVG) and the data (TSV) of every figure",
         .group = "Output",
         .placeholder = "DIR"},
        {.name = "resamples",
         .kind = Kind::integer,
         .default_value = "1000",
         .help = "bootstrap resamples behind each interval",
         .group = "Statistics",
         .minimum = 100,
         .maximum = 1000000},
        {.name = "permutations",
         .kind = Kind::integer,
         .default_value = "10000",
         .help = "random swaps behind each p-value",
         .group = "Statistics",
         .minimum = 100,
         .maximum = 100000000},
    };
    program.examples = {"tape-report results/result.json -o again.html",
                        "tape-report small/result.json large/result.json -o both.html",
                        "tape-report results/result.json --tsv table.tsv --statistics numbers.json --figures figures/"};
    program.notes = "The table and the verdict are printed on stdout unless --quiet is given or an output goes there.\n"
                    "A report is made again in seconds, so that one that is already there is replaced.";
    return program;
}

/// The folder a result stands in, else the file's own name: "runs/esm2/result.json" is "esm2".
std::string label_of(fs::path const& file) {
    std::string const folder = fs::absolute(file).parent_path().filename().string();
    std::string const stem = file.stem().string();
    return stem == "result" && !folder.empty() ? folder : stem;
}

std::vector<std::string> labels_of(Arguments const& arguments, std::vector<std::string> const& files) {
    if (arguments.has("labels")) return arguments.list("labels");
    std::vector<std::string> labels;
    for (auto const& file : files) labels.push_back(label_of(file));
    if (std::set<std::string> const distinct{labels.begin(), labels.end()}; distinct.size() != labels.size())
        labels = files;
    return labels;
}

struct Outputs {
    std::string html, tsv, markdown, statistics; ///< "" is not wanted, "-" is stdout

    [[nodiscard]] std::vector<std::string> wanted() const {
        std::vector<std::string> names;
        for (auto const& name : {html, tsv, markdown, statistics})
            if (!name.empty()) names.push_back(name);
        return names;
    }
};

void check_outputs(std::vector<std::string> const& inputs, std::vector<std::string> const& outputs) {
    std::error_code ignored;
    for (auto const& input : inputs)
        for (auto const& output : outputs)
            if (output != "-" && fs::equivalent(input, output, ignored))
                throw tape::usage_error{"an output would overwrite the input " + input + "; choose another name"};
    if (std::ranges::count(outputs, "-") > 1)
        throw tape::usage_error{"only one of --output, --tsv, --markdown and --statistics can be stdout"};
}

tape::Result read_all(Arguments const& arguments) {
    auto const& files = arguments.positional();
    std::vector<tape::Result> results;
    for (auto const& file : files) results.push_back(tape::read_result(file));
    if (files.size() == 1 && !arguments.has("labels")) return std::move(results.front());
    return tape::merge_results(std::move(results), labels_of(arguments, files));
}

void report(Arguments const& arguments) {
    Outputs const outputs{arguments.text("output"), arguments.text("tsv"), arguments.text("markdown"),
                          arguments.text("statistics")};
    std::string const figures = arguments.text("figures");
    auto const wanted = outputs.wanted();
    check_outputs(arguments.positional(), wanted);
    auto const result = read_all(arguments);
    if (arguments.flag("dry-run")) {
        std::cout << result.tasks.size() << " tasks, " << result.arms.size() << " arms; would write";
        for (auto const& name : wanted) std::cout << ' ' << name;
        if (!figures.empty()) std::cout << ' ' << figures;
        std::cout << (wanted.empty() && figures.empty() ? " the table to stdout" : "") << '\n';
        return;
    }
    tape::ResamplingOptions options;
    options.resamples = static_cast<int>(arguments.integer("resamples"));
    options.permutations = static_cast<int>(arguments.integer("permutations"));
    options.seed = static_cast<std::uint64_t>(arguments.integer("seed"));
    options.threads = static_cast<int>(arguments.integer("threads"));
    auto const analysis = tape::analyse(result, options);
    if (!outputs.html.empty()) tape::write_report(outputs.html, result, analysis);
    if (!outputs.tsv.empty()) tape::write_text(outputs.tsv, tape::summary_tsv(result, analysis));
    if (!outputs.markdown.empty()) tape::write_text(outputs.markdown, tape::summary_markdown(result, analysis));
    if (!outputs.statistics.empty()) tape::write_text(outputs.statistics, tape::statistics_json(result, analysis));
    if (!figures.empty()) tape::write_figures(figures, tape::make_figures(result, analysis));
    if (!arguments.flag("quiet") && std::ranges::count(wanted, "-") == 0)
        std::cout << tape::summary_text(result, analysis);
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, report); }
