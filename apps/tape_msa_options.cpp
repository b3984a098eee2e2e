#include "apps/tape_msa.hpp"
#include "data/array_writer.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <array>

namespace tape::cli {

Program tape_msa_program() {
    std::string const search = "Search", filter = "Rows of the alignment", output = "Output";
    std::vector<Option> options{
        {.name = "<query>", .default_value = "", .help = "FASTA file of the proteins (gz, xz, zst too; - is stdin)"},
        {.name = "set",
         .default_value = "",
         .help =
             "align the proteins of this FASTA file with each other instead; -o then names the file of the alignment",
         .placeholder = "FILE"},
        {.name = "db",
         .default_value = "",
         .help = "database to search: .tdb, or FASTA (a database is then made of it and kept in the cache)",
         .group = search,
         .placeholder = "FILE"},
        {.name = "clusters",
         .default_value = "",
         .help = "table of tape-db cluster of the database: for hundreds of queries in 0.6 of the time; scans "
                 "representatives, then the clusters of those that come near (99% of the targets in Swiss-Prot)",
         .group = search,
         .placeholder = "FILE"},
        {.name = "rounds",
         .kind = Kind::integer,
         .default_value = "3",
         .help = "rounds of search; 1 searches with the sequence only",
         .group = search,
         .minimum = 1,
         .maximum = 20},
        {.name = "evalue",
         .kind = Kind::real,
         .default_value = "0.001",
         .help = "report and align hits up to this E-value",
         .group = search,
         .minimum = 1e-300},
        {.name = "inclusion-evalue",
         .kind = Kind::real,
         .default_value = "0.002",
         .help = "hits up to this E-value build the next round's profile",
         .group = search,
         .minimum = 1e-300},
        {.name = "min-coverage",
         .kind = Kind::real,
         .default_value = "0",
         .help = "least share of the query that a row covers",
         .group = search,
         .minimum = 0,
         .maximum = 1},
        {.name = "max-hits",
         .kind = Kind::integer,
         .default_value = "10000",
         .help = "most hits of a query, best first",
         .group = search,
         .minimum = 1},
        {.name = "min-identity",
         .kind = Kind::real,
         .default_value = "0",
         .help = "least identity of a row to the query, over facing residues",
         .group = filter,
         .minimum = 0,
         .maximum = 1},
        {.name = "max-identity",
         .kind = Kind::real,
         .default_value = "1",
         .help = "highest identity of a row to the query",
         .group = filter,
         .minimum = 0,
         .maximum = 1},
        {.name = "max-pairwise-identity",
         .kind = Kind::real,
         .default_value = "1",
         .help = "highest identity of any two rows; .9 removes near copies",
         .group = filter,
         .minimum = 0,
         .maximum = 1},
        {.name = "min-score",
         .kind = Kind::real,
         .default_value = "",
         .help = "least BLOSUM62 score of a row against the query, bits a column",
         .group = filter},
        {.name = "diversity",
         .kind = Kind::integer,
         .default_value = "0",
         .help = "keep the N most different rows of every 50 columns; 0 keeps all",
         .group = filter,
         .minimum = 0},
        {.name = "msa-dir",
         .default_value = "",
         .help = "ready alignments <id>.a3m, .a2m, .sto, .fasta or .aln; their proteins are not searched",
         .group = search,
         .placeholder = "DIR"},
        {.name = "output",
         .default_value = "",
         .help = "folder for alignments, features, hits.tsv and manifest.json",
         .group = output,
         .placeholder = "DIR",
         .short_name = 'o'},
        {.name = "hits",
         .default_value = "",
         .help = "file for the table of hits; without -o the program only searches",
         .group = output,
         .placeholder = "FILE"},
        {.name = "format",
         .kind = Kind::list,
         .default_value = "a3m",
         .help = "alignments (sto is Stockholm, aln Clustal) and profiles (PSI-BLAST, HH-suite, HMMER)",
         .group = output,
         .choices = {"a3m", "a2m", "sto", "fasta", "aln", "pssm", "hhm", "hmm"}},
        {.name = "features",
         .default_value = "npz",
         .help = "format of the features; h5 is HDF5",
         .group = output,
         .choices = {"npz", "h5", "json", "none"}},
        {.name = "coevolution",
         .kind = Kind::flag,
         .default_value = "",
         .help = "add the three L x L maps to the features",
         .group = output},
        {.name = "couplings",
         .kind = Kind::list,
         .default_value = "none",
         .help = "add single L x L maps: pseudolikelihood Potts model, mean-field, mutual information",
         .group = output,
         .choices = {"plm", "mean-field", "mi", "none"}},
        {.name = "variants",
         .default_value = "",
         .help = "score these variants of the query: one A104G:L12P a line, or a TSV or CSV with a header",
         .group = output,
         .placeholder = "FILE"},
        {.name = "measured",
         .default_value = "",
         .help = "column of --variants with measured values (default: measured or DMS_score)",
         .group = output,
         .placeholder = "COLUMN"},
        {.name = "first-position",
         .kind = Kind::integer,
         .default_value = "1",
         .help = "number of the query's first residue in --variants",
         .group = output,
         .minimum = 0},
        {.name = "view",
         .kind = Kind::flag,
         .default_value = "",
         .help = "print each alignment's first rows with conservation",
         .group = output},
        {.name = "html",
         .kind = Kind::flag,
         .default_value = "",
         .help = "write each alignment as a page <id>.html: rows, logo, entropy, depth, coupling map",
         .group = output},
    };
    return {
        .name = "tape-msa",
        .purpose = "searches a database with each protein and writes query-anchored alignments and the features "
                   "read off them",
        .usage = "tape-msa QUERY.fasta --db DB.tdb -o DIR [options]",
        .options = std::move(options),
        .examples = {"tape-msa query.fasta --db swissprot.tdb --rounds 3 -o out/",
                     "tape-msa queries.fasta --db db.tdb --rounds 1 --evalue 10000 --hits hits.tsv",
                     "tape-msa queries.fasta --msa-dir alignments/ -o out/ --format a3m,sto --view",
                     "tape-msa query.fasta --db db.tdb -o out/ --variants variants.csv --couplings plm",
                     "tape-msa --set family.fasta -o aligned.fasta", "tape-msa --set family.fasta -o - --format sto"},
        .notes =
            "Writes DIR/<id>.a3m, DIR/<id>.features.npz, DIR/hits.tsv, DIR/rounds.tsv and DIR/manifest.json. Arrays of "
            "features: residues,\n"
            "alignment (codes 0-19 = ACDEFGHIKLMNPQRSTVWY, 20 gap, 21 unknown), counts, frequencies, scores "
            "(bits), entropy (nats),\n"
            "gap_fraction, neff_column, conservation (Jensen-Shannon), insertion_rate (after the column), gap_rate "
            "(of rows that span it),\n"
            "relative_depth, neff (at 80% identity; exp of mean entropy), weights, identity_weights; maps: "
            "mutual_information, direct_coupling\n"
            "(mean-field), inverse_covariance, potts_coupling (plm).\n"
            "--variants writes DIR/<id>.variants.tsv, nats, higher is closer to the family: entropy of the columns, "
            "log_odds of the\n"
            "residues, and with --couplings plm the difference of Potts energy; Spearman's rho with measured values is "
            "printed.\n"
            "Its table names a column mutant, mutation or variant; with several queries, a column query says whose "
            "variant it is.\n"
            "--set writes FASTA, or what --format or the output's extension says; a3m and a2m have the columns of the "
            "first protein.\n"
            "Profiles (pssm, hhm, hmm) are of one query and not written of a set.\n"
            "Queries whose outputs are there from the same "
            "input, database and options are kept; --force computes them again.\n"
            "Under mpirun, srun or torchrun the ranks take queries from one list in DIR (a file system with locks); "
            "a lost rank's\n"
            "queries go to the others, and the files are the same as with one process.\n"};
}

bool is_profile_format(std::string const& name) {
    constexpr std::array formats{"pssm", "hhm", "hmm"};
    return std::ranges::find(formats, name) != formats.end();
}

namespace {

void read_variant_options(MsaSettings& settings, Arguments const& arguments) {
    settings.variants = arguments.text("variants");
    settings.variant_options = {.first_position = static_cast<std::size_t>(arguments.integer("first-position")),
                                .measured_column = arguments.text("measured")};
    if (settings.variants.empty()) {
        for (auto const* option : {"measured", "first-position"})
            if (arguments.has(option))
                throw usage_error{std::string{"--"} + option + " is about --variants, which is not given"};
        return;
    }
    if (settings.search_only()) throw usage_error{"--variants needs alignments: name a folder with -o"};
    if (settings.variants == "-" && settings.query == "-")
        throw usage_error{"queries and --variants cannot both be read from stdin"};
}

} // namespace

MsaSettings msa_settings(Arguments const& arguments) {
    MsaSettings settings;
    if (arguments.positional().size() != 1)
        throw usage_error{"expected one file of proteins; join several with cat and read them from -"};
    settings.query = arguments.positional().front();
    settings.database = arguments.text("db"), settings.msa_directory = arguments.text("msa-dir");
    settings.clusters = arguments.text("clusters");
    settings.output = arguments.text("output"), settings.hits = arguments.text("hits");
    if (settings.database.empty() && settings.msa_directory.empty())
        throw usage_error{"name a database with --db, or a folder of alignments with --msa-dir"};
    if (!settings.clusters.empty() && settings.database.empty())
        throw usage_error{"--clusters is about the database of a search; name it with --db"};
    if (settings.output.empty() && settings.hits.empty())
        throw usage_error{"name a folder with -o, or a file with --hits to search only"};
    if (settings.search_only() && settings.database.empty())
        throw usage_error{"--hits without -o searches only, which needs --db"};
    if (settings.search_only() && arguments.flag("view"))
        throw usage_error{"--view needs alignments: name a folder with -o"};
    if (settings.search_only() && arguments.flag("html"))
        throw usage_error{"--html needs alignments: name a folder with -o"};
    settings.threads = resolve_threads(static_cast<int>(arguments.integer("threads")));
    settings.search = {.rounds = static_cast<int>(arguments.integer("rounds")),
                       .evalue = arguments.real("evalue"),
                       .inclusion_evalue = arguments.real("inclusion-evalue"),
                       .min_coverage = arguments.real("min-coverage"),
                       .max_hits = static_cast<std::size_t>(arguments.integer("max-hits")),
                       .alignments = !settings.search_only() || arguments.real("min-coverage") > 0,
                       .threads = settings.threads};
    settings.filter = {.min_coverage = arguments.real("min-coverage"),
                       .min_query_identity = arguments.real("min-identity"),
                       .max_query_identity = arguments.real("max-identity"),
                       .max_pairwise_identity = arguments.real("max-pairwise-identity"),
                       .diversity = static_cast<std::size_t>(arguments.integer("diversity"))};
    if (!arguments.text("min-score").empty()) settings.filter.min_score = arguments.real("min-score");
    if (settings.filter.min_query_identity > settings.filter.max_query_identity)
        throw usage_error{"--min-identity " + arguments.text("min-identity") + " is above --max-identity " +
                          arguments.text("max-identity")};
    for (auto const& name : arguments.list("format"))
        if (is_profile_format(name))
            settings.profiles.push_back(name);
        else
            settings.formats.push_back(msa_format(name));
    settings.features = arguments.text("features");
    check_array_format("features." + settings.features);
    settings.coevolution = arguments.flag("coevolution"), settings.view = arguments.flag("view"),
    settings.html = arguments.flag("html");
    settings.couplings = arguments.list("couplings"), std::erase(settings.couplings, "none");
    read_variant_options(settings, arguments);
    settings.quiet = arguments.flag("quiet"), settings.force = arguments.flag("force"),
    settings.dry_run = arguments.flag("dry-run");
    return settings;
}

} // namespace tape::cli
