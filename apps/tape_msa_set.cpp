#include "align/family.hpp"
#include "apps/output.hpp"
#include "apps/tape_msa.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "data/text.hpp"

#include <iostream>

namespace tape::cli {
namespace {

namespace fs = std::filesystem;

void check_set_usage(Arguments const& arguments) {
    for (auto const* other :
         {"db", "clusters", "msa-dir", "hits", "variants", "features", "coevolution", "couplings", "view", "html"})
        if (arguments.has(other))
            throw usage_error{std::string{"--set aligns the proteins of its file alone; leave out --"} + other};
    if (!arguments.positional().empty())
        throw usage_error{"--set names the proteins to align; leave out '" + arguments.positional().front() + "'"};
    if (arguments.text("output").empty()) throw usage_error{"name the file of the alignment with -o (- is stdout)"};
}

/// --format, or what the name of the output ends in, or FASTA.
MsaFormat set_format(Arguments const& arguments, fs::path output) {
    if (arguments.has("format")) {
        auto const names = arguments.list("format");
        if (names.size() > 1) throw usage_error{"--set writes one file; give --format one name"};
        if (is_profile_format(names.front()))
            throw usage_error{"--set writes alignments, and " + names.front() +
                              " is a profile of one protein: align to .a3m, put it into a folder as <id>.a3m and run "
                              "tape-msa QUERY.fasta --msa-dir FOLDER --format " +
                              names.front()};
        return msa_format(names.front());
    }
    for (auto const* packed : {".gz", ".xz", ".zst"})
        if (output.extension() == packed) output.replace_extension();
    std::string const extension = output.extension().string();
    for (auto const format : {MsaFormat::a3m, MsaFormat::a2m, MsaFormat::stockholm, MsaFormat::clustal})
        if (extension == "." + std::string{to_string(format)}) return format;
    return MsaFormat::aligned_fasta;
}

/// Columns without a residue of the first row become insertions, as A3M and A2M have them.
void anchor_on_first(std::vector<AlignedRow>& rows) {
    std::string const first = rows.front().letters;
    for (auto& row : rows)
        for (std::size_t c = 0; c < first.size(); ++c)
            if (first[c] == '-')
                row.letters[c] = row.letters[c] == '-' ? '.' : static_cast<char>(row.letters[c] - 'A' + 'a');
}

std::vector<AlignedRow> aligned_rows(std::vector<Protein> const& proteins, FamilyAlignment const& alignment) {
    std::vector<AlignedRow> rows;
    for (std::size_t r = 0; r < proteins.size(); ++r)
        rows.push_back({proteins[r].id, proteins[r].description, aligned_letters(alignment, r, proteins[r].residues)});
    return rows;
}

FamilyAlignment align(std::vector<Protein> const& proteins, int threads) {
    std::vector<std::vector<Residue>> sequences;
    for (auto const& protein : proteins) sequences.push_back(encode_residues(protein.residues));
    FamilyOptions options;
    options.threads = threads;
    return align_family(sequences, options);
}

} // namespace

void align_set(Arguments const& arguments) {
    check_set_usage(arguments);
    fs::path const file = arguments.text("set");
    auto const format = set_format(arguments, arguments.text("output"));
    OutputFile written{tape_msa_program(), arguments, arguments.text("output")};
    auto const& output = written.path();
    auto const proteins = read_fasta(file);
    std::ostream& out = output == "-" ? std::cerr : std::cout;
    if (arguments.flag("dry-run")) {
        out << counted(proteins.size(), "protein") << " of " << file.string() << "; would write " << output.string()
            << '\n';
        return;
    }
    auto const alignment = align(proteins, resolve_threads(static_cast<int>(arguments.integer("threads"))));
    auto rows = aligned_rows(proteins, alignment);
    if (format == MsaFormat::a3m || format == MsaFormat::a2m) anchor_on_first(rows);
    if (file != "-") written.add_input(file.string(), content_hash_of_file(file));
    write_atomically(output, [&](std::ostream& to) { write_aligned(to, rows, format); });
    written.write_manifest({{"columns", std::to_string(alignment.length)}});
    if (!arguments.flag("quiet"))
        out << output.string() << ": " << counted(rows.size(), "protein") << ", " << counted(alignment.length, "column")
            << '\n';
}

} // namespace tape::cli
