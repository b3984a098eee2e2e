#include "apps/cli.hpp"
#include "compare/estimate.hpp"
#include "compare/experiment.hpp"
#include "compare/report.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/temporary.hpp"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;
using tape::cli::Option;

std::string arms_help() {
    std::string text = "Arms (--features): a comma list; '+' joins sources inside one arm.\n";
    for (auto const& row : tape::source_registry())
        text +=
            "  " + row.name + std::string(row.name.size() < 12 ? 12 - row.name.size() : 1, ' ') + row.summary + "\n";
    text += "  NAME@PATH   other weights: what tape-embed's --model takes (a run of tape-pretrain, a Hugging Face "
            "folder, ...)\n"
            "  NAME@random the same network without pretraining, drawn anew for each seed\n"
            "`onehot` is added as the baseline unless --no-baseline. With two or more plain arms (one source, neither "
            "onehot\n"
            "nor @random) their union is added as a further arm unless --no-hybrid.\n\nTasks (--tasks): all";
    for (auto const& task : tape::bundled_tasks()) text += ", " + task.name;
    text +=
        "\n  short names: ss, ss3, ss8, contacts, homology, gfp\n"
        "  FILE        a task of your own, CSV or JSON: columns id, sequence, split (train, valid or test) and one of\n"
        "              value (a number), class (a name), labels (a letter a residue), contacts (such as 3-17 4-16)\n"
        "\nPresets (--preset):\n";
    for (auto const& preset : tape::presets()) text += "  " + preset.name + ": " + preset.summary + "\n";
    return text + "\nAll arms of a run share the same training, validation and test proteins. Features and finished "
                  "runs are kept in\n"
                  "the cache, so the same line again, or one killed half-way, only does what is missing.\n";
}

tape::cli::Program program() {
    std::vector<Option> options{
        {.name = "features",
         .kind = Kind::list,
         .default_value = {},
         .help = "arms to compare (default: the preset's, msa,transformer for quick and full)",
         .group = "Comparison",
         .placeholder = "ARMS"},
        {.name = "tasks",
         .kind = Kind::list,
         .default_value = {},
         .help = "tasks to run, names or files of your own (default: the preset's, all for quick and full)",
         .group = "Comparison",
         .placeholder = "TASKS"},
        {.name = "preset",
         .default_value = "quick",
         .help = "how much of each task to use",
         .group = "Comparison",
         .choices = {"quick", "seed-finding", "full"}},
        {.name = "seeds",
         .kind = Kind::integer,
         .default_value = {},
         .help = "number of seeds, counted up from --seed (default: the preset's)",
         .group = "Comparison",
         .minimum = 1,
         .maximum = 1000},
        {.name = "train-limit",
         .kind = Kind::integer,
         .default_value = {},
         .help = "training examples of each task (default: the preset's)",
         .group = "Comparison",
         .minimum = 1},
        {.name = "valid-limit",
         .kind = Kind::integer,
         .default_value = {},
         .help = "validation examples of each task",
         .group = "Comparison",
         .minimum = 1},
        {.name = "test-limit",
         .kind = Kind::integer,
         .default_value = {},
         .help = "test examples of each task",
         .group = "Comparison",
         .minimum = 1},
        {.name = "max-epochs",
         .kind = Kind::integer,
         .default_value = {},
         .help = "passes of a network head over its training set, at most (default: the head's own)",
         .group = "Comparison",
         .minimum = 1},
        {.name = "no-hybrid",
         .kind = Kind::flag,
         .default_value = {},
         .help = "do not add the union of the arms",
         .group = "Comparison"},
        {.name = "no-baseline",
         .kind = Kind::flag,
         .default_value = {},
         .help = "do not add onehot",
         .group = "Comparison"},
        {.name = "head",
         .default_value = "published",
         .help = "what reads every arm's features: the heads of TAPE's kind (a convolution for residues, exact linear "
                 "models on averages), or stronger ones (residual convolutions over residues; for variants of one "
                 "protein, residues at their positions too)",
         .group = "Comparison",
         .choices = {"published", "strong"}},
        {.name = "contact-atom",
         .default_value = "ca",
         .help = "atom that decides a contact (8 angstrom)",
         .group = "Comparison",
         .choices = {"ca", "cb"}},
        {.name = "db",
         .default_value = {},
         .help = "database to search: .tdb or FASTA (default: the bundled starter database)",
         .group = "Alignments",
         .placeholder = "FILE"},
        {.name = "clusters",
         .default_value = {},
         .help = "table of tape-db cluster of the database: searches of large ones in about half of the time",
         .group = "Alignments",
         .placeholder = "FILE"},
        {.name = "msa-dir",
         .default_value = {},
         .help = "ready alignments named by protein id; used before any search",
         .group = "Alignments",
         .placeholder = "DIR"},
        {.name = "rounds",
         .kind = Kind::integer,
         .default_value = {},
         .help = "search rounds (default: the preset's)",
         .group = "Alignments",
         .minimum = 1,
         .maximum = 20},
        {.name = "msa-none",
         .kind = Kind::flag,
         .default_value = {},
         .help = "search nothing: ready and bundled alignments only",
         .group = "Alignments"},
        {.name = "corpus",
         .default_value = {},
         .help = "what a language model was pretrained on, .tdb or FASTA: its relatives of test proteins are counted",
         .group = "Alignments",
         .placeholder = "FILE"},
        {.name = "output",
         .default_value = "results",
         .help = "folder for result.json, statistics.json, table.tsv, report.html and figures/",
         .group = "Output",
         .placeholder = "DIR",
         .short_name = 'o'},
        {.name = "cache",
         .default_value = {},
         .help = "folder for features and finished runs (default: the user's cache)",
         .group = "Output",
         .placeholder = "DIR"},
        tape::cli::device_option()};
    for (auto option : tape::cli::common_options()) {
        if (option.name == "force") option.help = "fit again what the cache already has";
        options.push_back(std::move(option));
    }
    return {.name = "tape-compare",
            .purpose = "compare alignment features, language models and their union on the tasks of TAPE",
            .usage = "tape-compare [--features ARMS] [--tasks TASKS] [--preset quick|seed-finding|full] [-o DIR]",
            .options = std::move(options),
            .examples =
                {"tape-compare --features msa,transformer --tasks all --preset quick -o results/",
                 "tape-compare --features msa,transformer --tasks fluorescence -o gfp/",
                 "tape-compare --features msa,unirep,unirep@random,onehot+msa --tasks ss,contacts --seeds 5 -o more/",
                 "tape-compare --tasks my_assay.csv -o my_assay/", "tape-compare --preset seed-finding -o finding/",
                 "tape-compare --features msa --db swissprot.tdb --preset full --dry-run"},
            .notes = arms_help()};
}

std::optional<std::size_t> limit_of(Arguments const& arguments, std::string const& name) {
    if (!arguments.has(name)) return std::nullopt;
    return static_cast<std::size_t>(arguments.integer(name));
}

std::optional<int> count_of(Arguments const& arguments, std::string const& name) {
    if (!arguments.has(name)) return std::nullopt;
    return static_cast<int>(arguments.integer(name));
}

tape::ExperimentOptions experiment_options(Arguments const& arguments) {
    tape::ExperimentOptions options{
        .features = arguments.list("features"),
        .baseline = !arguments.flag("no-baseline"),
        .hybrid = !arguments.flag("no-hybrid"),
        .tasks = arguments.list("tasks"),
        .preset = arguments.text("preset"),
        .train_limit = limit_of(arguments, "train-limit"),
        .valid_limit = limit_of(arguments, "valid-limit"),
        .test_limit = limit_of(arguments, "test-limit"),
        .seeds = count_of(arguments, "seeds"),
        .rounds = count_of(arguments, "rounds"),
        .max_epochs = count_of(arguments, "max-epochs"),
        .seed = static_cast<std::uint64_t>(arguments.integer("seed")),
        .alignments = {.database = arguments.text("db"),
                       .clusters = arguments.text("clusters"),
                       .directory = arguments.text("msa-dir"),
                       .search = !arguments.flag("msa-none")},
        .corpus = arguments.text("corpus"),
        .contact_atom = arguments.text("contact-atom") == "cb" ? tape::ContactAtom::cb : tape::ContactAtom::ca,
        .head = arguments.text("head") == "strong" ? tape::HeadStyle::strong : tape::HeadStyle::published,
        .cache = arguments.text("cache"),
        .device = arguments.text("device"),
        .threads = static_cast<int>(arguments.integer("threads")),
        .quiet = arguments.flag("quiet"),
        .force = arguments.flag("force")};
    return options;
}

/// Fails now rather than after the run: the folder must take a file, and the disk the result.
void check_output_directory(std::filesystem::path const& directory) {
    constexpr std::uintmax_t needed = 32 << 20; // result.json and report.html of a large grid
    try {
        auto const probe = directory / ".tape-compare-probe";
        tape::write_text(probe, "");
        std::filesystem::remove(probe);
    } catch (tape::error const&) {
        std::throw_with_nested(
            tape::error{"output folder '" + directory.string() + "' cannot be written; choose another with --output"});
    }
    if (auto const space = std::filesystem::space(directory); space.available < needed)
        throw tape::error{"output folder '" + directory.string() + "' has " + std::to_string(space.available >> 20) +
                          " MB left, at least " + std::to_string(needed >> 20) +
                          " MB are needed; choose another with --output"};
}

void compare(Arguments const& arguments) {
    auto const start = std::chrono::steady_clock::now();
    std::string const started = tape::utc_now();
    std::filesystem::path const output = arguments.text("output");
    std::optional<tape::OutputFolder> folder;
    if (!arguments.flag("dry-run")) {
        folder.emplace(output);
        check_output_directory(output);
    }
    auto const plan = tape::make_plan(experiment_options(arguments));
    if (arguments.flag("dry-run")) {
        std::cout << tape::describe_estimate(plan, tape::estimate(plan));
        return;
    }
    auto result = tape::run_experiment(plan);
    result.manifest.program = "tape-compare";
    result.manifest.argv = arguments.argv();
    result.manifest.version = TAPE_VERSION;
    result.manifest.started = started;
    result.manifest.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    tape::write_outputs(output, result, {.seed = plan.options.seed, .threads = plan.options.threads});
    std::cout << "\nreport: " << (output / "report.html").string() << '\n';
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, compare); }
