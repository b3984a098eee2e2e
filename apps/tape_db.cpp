#include "align/cluster.hpp"
#include "align/database.hpp"
#include "align/scan.hpp"
#include "apps/cli.hpp"
#include "apps/output.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <istream>
#include <map>
#include <ostream>
#include <string>
#include <unordered_set>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;

tape::cli::Program program() {
    std::vector<tape::cli::Option> options{
        {.name = "<command>",
         .default_value = "",
         .help = "build, info, verify, cluster or subset",
         .choices = {"build", "info", "verify", "cluster", "subset"},
         .required = true},
        {.name = "<input>",
         .default_value = "",
         .help = "FASTA file or BLAST database (build), or a .tdb file (all others)",
         .required = true},
        {.name = "output",
         .default_value = "",
         .help = "file to write (build: .tdb; cluster: TSV; subset: .tdb, or FASTA by its name)",
         .placeholder = "FILE",
         .short_name = 'o'},
        {.name = "identity",
         .kind = Kind::real,
         .default_value = "0.5",
         .help = "cluster: least identity to the representative",
         .group = "Clustering",
         .minimum = 0.0,
         .maximum = 1.0},
        {.name = "coverage",
         .kind = Kind::real,
         .default_value = "0.8",
         .help = "cluster: least aligned share of the shorter sequence",
         .group = "Clustering",
         .minimum = 0.0,
         .maximum = 1.0},
        {.name = "ids",
         .default_value = "",
         .help = "subset: file of ids to keep, the first word of each line",
         .group = "Subsets",
         .placeholder = "FILE"},
    };
    auto common = tape::cli::common_options();
    options.insert(options.end(), common.begin(), common.end());
    return {.name = "tape-db",
            .purpose = "builds and looks after sequence databases, one memory-mapped file each",
            .usage = "tape-db build FASTA_OR_BLAST_DB -o OUT.tdb | info|verify DB.tdb | cluster DB.tdb -o OUT.tsv | "
                     "subset DB.tdb --ids FILE -o OUT",
            .options = options,
            .examples = {"tape-db build swissprot.fasta.xz -o swissprot.tdb", "tape-db info swissprot.tdb",
                         "tape-db cluster swissprot.tdb --identity 0.5 -o clusters.tsv",
                         "tape-db subset swissprot.tdb --ids chosen.txt -o chosen.fasta.xz"}};
}

tape::cli::OutputFile required_output(Arguments const& arguments) {
    if (!arguments.has("output")) throw tape::usage_error{"-o/--output is required: name the file to write"};
    return {program(), arguments, arguments.text("output")};
}

bool is_dry_run(Arguments const& arguments, std::filesystem::path const& output) {
    if (!arguments.flag("dry-run")) return false;
    std::cout << "would write " << output.string() << '\n';
    return true;
}

/// With what the file holds, unless it is a pipe or a device.
void write_manifest(tape::cli::OutputFile& target) {
    if (!std::filesystem::is_regular_file(target.path())) return;
    tape::Database const database{target.path()};
    target.write_manifest({{"content_hash", database.content_hash()},
                           {"sequences", std::to_string(database.size())},
                           {"residues", std::to_string(database.residue_count())},
                           {"simd", tape::simd_target()}});
}

void report(std::string const& path, tape::BuildSummary const& summary, bool quiet) {
    if (quiet || path == "-") return;
    std::cout << path << ": " << tape::counted(summary.sequences, "sequence") << ", "
              << tape::counted(summary.residues, "residue") << ", " << tape::counted(summary.bytes, "byte") << '\n';
}

void info(std::string const& input) {
    tape::Database const database{input};
    auto const shortest = database.residues(0).size(), longest = database.residues(database.size() - 1).size();
    std::cout << "file\t" << input << "\nsequences\t" << database.size() << "\nresidues\t" << database.residue_count()
              << "\nshortest\t" << shortest << "\nlongest\t" << longest << "\nbytes\t" << database.file_bytes()
              << "\nbytes_per_residue\t"
              << static_cast<double>(database.file_bytes()) / static_cast<double>(database.residue_count())
              << "\ncontent_hash\t" << database.content_hash() << "\nsimd\t" << tape::simd_target() << '\n';
}

void build(Arguments const& arguments, std::string const& input) {
    auto target = required_output(arguments);
    std::string const output = target.path();
    bool const single_file = std::filesystem::is_regular_file(input);
    if (is_dry_run(arguments, output)) {
        if (single_file) (void)tape::open_input(input);
        return;
    }
    target.add_input(input, single_file ? tape::content_hash_of_file(input) : "");
    bool const quiet = arguments.flag("quiet");
    auto const summary = tape::build_database(
        input, output,
        {.threads = tape::resolve_threads(static_cast<int>(arguments.integer("threads"))), .quiet = quiet});
    report(output, summary, quiet);
    if (summary.resumed_runs > 0 && !quiet && !target.is_stdout())
        std::cout << "went on from " << tape::counted(summary.resumed_runs, "finished run") << " of the build before\n";
    write_manifest(target);
}

void cluster(Arguments const& arguments, std::string const& input) {
    auto target = required_output(arguments);
    std::string const output = target.path();
    tape::Database const database{input};
    if (is_dry_run(arguments, output)) return;
    target.add_input(input, database.content_hash());
    auto const clustering = tape::cluster_database(
        database, {.identity = arguments.real("identity"),
                   .coverage = arguments.real("coverage"),
                   .threads = tape::resolve_threads(static_cast<int>(arguments.integer("threads"))),
                   .quiet = arguments.flag("quiet")});
    std::size_t representatives = 0;
    tape::write_atomically(output, [&](std::ostream& out) {
        out << "# representative\tmember\tidentity\tlength\n";
        for (std::size_t i = database.size(); i-- > 0;) {
            char identity[16];
            std::snprintf(identity, sizeof identity, "%.3f", static_cast<double>(clustering.identity[i]));
            representatives += clustering.representative[i] == i;
            out << database.id(clustering.representative[i]) << '\t' << database.id(i) << '\t' << identity << '\t'
                << database.residues(i).size() << '\n';
        }
    });
    target.write_manifest({{"clusters", std::to_string(representatives)}, {"simd", tape::simd_target()}});
    if (!arguments.flag("quiet") && output != "-")
        std::cout << output << ": " << tape::counted(database.size(), "sequence") << " in "
                  << tape::counted(representatives, "cluster") << '\n';
}

std::unordered_set<std::string> read_ids(std::string const& file) {
    std::unordered_set<std::string> ids;
    auto const in = tape::open_input(file);
    for (std::string line; std::getline(*in, line);)
        if (auto const begin = line.find_first_not_of(" \t\r"); begin != std::string::npos && line[begin] != '#')
            ids.insert(line.substr(begin, line.find_first_of(" \t\r", begin) - begin));
    if (ids.empty()) throw tape::data_error{file + ": no ids; expected one a line"};
    return ids;
}

bool is_fasta_name(std::string const& name) {
    for (char const* const extension : {".fasta", ".fa", ".faa"})
        if (name.find(extension) != std::string::npos) return true;
    return name == "-";
}

void subset(Arguments const& arguments, std::string const& input) {
    if (!arguments.has("ids")) throw tape::usage_error{"--ids is required: a file with one id a line"};
    auto target = required_output(arguments);
    std::string const output = target.path();
    auto ids = read_ids(arguments.text("ids"));
    tape::Database const database{input};
    std::vector<bool> keep(database.size(), false);
    for (std::size_t i = 0; i < database.size(); ++i) keep[i] = ids.erase(std::string{database.id(i)}) > 0;
    if (!ids.empty())
        throw tape::data_error{arguments.text("ids") + ": " + tape::counted(ids.size(), "id") + " not in " + input +
                               ", such as " + tape::shown(*std::min_element(ids.begin(), ids.end()))};
    if (is_dry_run(arguments, output)) return;
    target.add_input(input, database.content_hash());
    if (!is_fasta_name(output)) {
        report(output,
               tape::subset_database(
                   database, [&](std::size_t i) { return keep[i]; }, output),
               arguments.flag("quiet"));
        return write_manifest(target);
    }
    tape::write_atomically(output, [&](std::ostream& out) {
        for (std::size_t i = 0; i < database.size(); ++i) {
            auto const codes = database.residues(i);
            if (keep[i])
                tape::write_fasta(out, {{std::string{database.id(i)}, std::string{database.description(i)},
                                         tape::decode_residues({codes.begin(), codes.end()})}});
        }
    });
    target.write_manifest({});
}

void run(Arguments const& arguments) {
    auto const& positional = arguments.positional();
    if (positional.size() < 2)
        throw tape::usage_error{"expected a command and a file, such as `tape-db info swissprot.tdb`"};
    if (positional.size() > 2) throw tape::usage_error{"one file at a time: unexpected " + tape::shown(positional[2])};
    auto const& command = positional[0];
    auto const& input = positional[1];
    if (command == "build")
        build(arguments, input);
    else if (command == "info")
        info(input);
    else if (command == "verify") {
        tape::Database{input}.verify();
        if (!arguments.flag("quiet")) std::cout << input << ": content hash matches\n";
    } else if (command == "cluster")
        cluster(arguments, input);
    else if (command == "subset")
        subset(arguments, input);
    else {
        std::vector<std::string> const commands{"build", "info", "verify", "cluster", "subset"};
        throw tape::usage_error{"unknown command " + tape::shown(command) + tape::did_you_mean(command, commands) +
                                "; expected build, info, verify, cluster or subset"};
    }
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, run); }
