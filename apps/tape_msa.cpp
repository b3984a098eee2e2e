#include "align/family.hpp"
#include "align/filter.hpp"
#include "align/hhm_format.hpp"
#include "align/hmm_format.hpp"
#include "align/hmm_statistics.hpp"
#include "align/pssm_format.hpp"
#include "align/search.hpp"
#include "apps/cli.hpp"
#include "apps/output.hpp"
#include "data/array_writer.hpp"
#include "data/cache.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"
#include "data/shared_queue.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"
#include "features/alignment_features.hpp"
#include "features/alignment_page.hpp"
#include "features/alignment_view.hpp"
#include "features/coevolution.hpp"
#include "features/msa_source.hpp"
#include "features/search_database.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <numeric>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>
#include <unordered_map>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;
namespace fs = std::filesystem;

tape::cli::Program program() {
    std::string const search = "Search", filter = "Rows of the alignment", output = "Output";
    std::vector<tape::cli::Option> options{
        {.name = "<query>", .default_value = "", .help = "FASTA file of the proteins (gz, xz, zst too; - is stdin)"},
        {.name = "set",
         .default_value = "",
         .help = "align the proteins of this FASTA file with each other instead; -o then names the aligned FASTA file",
         .placeholder = "FILE"},
        {.name = "db",
         .default_value = "",
         .help = "database to search: .tdb, or FASTA (a database is then made of it and kept in the cache)",
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
                     "tape-msa --set family.fasta -o aligned.fasta"},
        .notes =
            "Writes DIR/<id>.a3m, DIR/<id>.features.npz, DIR/hits.tsv and DIR/manifest.json. Arrays of the "
            "features: residues,\n"
            "alignment (codes 0-19 = ACDEFGHIKLMNPQRSTVWY, 20 gap, 21 unknown), counts, frequencies, scores "
            "(bits), entropy (nats),\n"
            "gap_fraction, neff_column, conservation (Jensen-Shannon), insertion_rate (after the column), gap_rate "
            "(of rows that span it),\n"
            "relative_depth, neff (at 80% identity; exp of mean entropy), weights, identity_weights; maps: "
            "mutual_information, direct_coupling\n"
            "(mean-field), inverse_covariance, potts_coupling (plm). Queries whose outputs are there from the same "
            "input, database and options are kept; --force computes them again.\n"
            "Under mpirun, srun or torchrun the ranks take queries from one list in DIR (a file system with locks); "
            "a lost rank's\n"
            "queries go to the others, and the files are the same as with one process.\n"};
}

/// Profile formats, by file extension.
constexpr std::array profile_formats{"pssm", "hhm", "hmm"};

void write_profile(std::ostream& out, tape::Msa const& msa, std::string const& format, int threads) {
    if (format == "pssm") {
        auto const profile = tape::make_profile(msa, {.neff_identity = false});
        return tape::write_pssm(out, tape::make_pssm(tape::decode_residues(msa.rows.front().columns), profile));
    }
    if (format == "hhm")
        return tape::write_hhm(out, tape::estimate_hmm(msa, {.priors = false, .fragment_threshold = 1}));
    auto hmm = tape::estimate_hmm(msa);
    hmm.statistics = tape::calibrate(hmm, 42, threads);
    tape::write_hmmer(out, hmm);
}

/// Everything asked for, checked.
struct Settings {
    fs::path query, database, msa_directory, output, hits;
    tape::SearchOptions search;
    tape::FilterOptions filter;
    std::vector<tape::MsaFormat> formats;
    std::vector<std::string> profiles;
    std::string features;
    std::vector<std::string> couplings; ///< plm, mean-field, mi
    bool coevolution = false, view = false, html = false, quiet = false, force = false, dry_run = false;
    int threads = 1;

    [[nodiscard]] bool search_only() const { return output.empty(); }
};

Settings settings_of(Arguments const& arguments) {
    Settings settings;
    if (arguments.positional().size() != 1)
        throw tape::usage_error{"expected one file of proteins; join several with cat and read them from -"};
    settings.query = arguments.positional().front();
    settings.database = arguments.text("db"), settings.msa_directory = arguments.text("msa-dir");
    settings.output = arguments.text("output"), settings.hits = arguments.text("hits");
    if (settings.database.empty() && settings.msa_directory.empty())
        throw tape::usage_error{"name a database with --db, or a folder of alignments with --msa-dir"};
    if (settings.output.empty() && settings.hits.empty())
        throw tape::usage_error{"name a folder with -o, or a file with --hits to search only"};
    if (settings.search_only() && settings.database.empty())
        throw tape::usage_error{"--hits without -o searches only, which needs --db"};
    if (settings.search_only() && arguments.flag("view"))
        throw tape::usage_error{"--view needs alignments: name a folder with -o"};
    if (settings.search_only() && arguments.flag("html"))
        throw tape::usage_error{"--html needs alignments: name a folder with -o"};
    settings.threads = tape::resolve_threads(static_cast<int>(arguments.integer("threads")));
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
        throw tape::usage_error{"--min-identity " + arguments.text("min-identity") + " is above --max-identity " +
                                arguments.text("max-identity")};
    for (auto const& name : arguments.list("format"))
        if (std::ranges::find(profile_formats, name) != profile_formats.end())
            settings.profiles.push_back(name);
        else
            settings.formats.push_back(tape::msa_format(name));
    settings.features = arguments.text("features");
    tape::check_array_format("features." + settings.features);
    settings.coevolution = arguments.flag("coevolution"), settings.view = arguments.flag("view"),
    settings.html = arguments.flag("html");
    settings.couplings = arguments.list("couplings"), std::erase(settings.couplings, "none");
    settings.quiet = arguments.flag("quiet"), settings.force = arguments.flag("force"),
    settings.dry_run = arguments.flag("dry-run");
    return settings;
}

/// What one query gave.
struct Outcome {
    tape::SearchResult result;
    bool searched = false, kept = false;
    bool alone = false;   ///< no row but the query
    std::string hit_rows; ///< its lines of hits.tsv
    std::string summary;  ///< its line of the printed table
    std::string view;
};

std::string formatted(char const* format, auto... values) {
    char text[256];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

/// Lines of hits.tsv. Positions count from 1, ends included; without alignments there are none.
std::string hit_rows(std::string const& query, tape::Database const& database, tape::SearchResult const& result,
                     bool aligned) {
    std::string rows;
    for (auto const& hit : result.hits) {
        rows += query + '\t' + std::string{database.id(hit.target)} + formatted("\t%.3g\t%.1f", hit.evalue, hit.bits);
        if (aligned)
            rows += formatted("\t%d\t%.3f\t%d\t%d\t%d\t%d", hit.round, static_cast<double>(hit.identity),
                              hit.query_begin + 1, hit.query_end, hit.target_begin + 1, hit.target_end);
        rows += '\n';
    }
    return rows;
}

std::string hits_header(bool aligned) {
    return std::string{"#query\ttarget\tevalue\tbits"} +
           (aligned ? "\tround\tidentity\tquery_begin\tquery_end\ttarget_begin\ttarget_end" : "") + '\n';
}

/// File names of the queries, by id; two ids must not share one.
std::vector<std::string> file_names(std::vector<tape::Protein> const& queries, bool quiet) {
    std::unordered_map<std::string, std::string const*> taken;
    std::vector<std::string> names;
    for (auto const& query : queries) {
        names.push_back(tape::file_name_of_id(query.id));
        auto const [place, is_new] = taken.try_emplace(names.back(), &query.id);
        if (!is_new)
            throw tape::data_error{"records '" + *place->second + "' and '" + query.id +
                                   "' would both be written as '" + names.back() + "'; rename one"};
    }
    for (std::size_t q = 0; q < names.size() && !quiet; ++q)
        if (names[q] != queries[q].id)
            std::cerr << "tape-msa: record '" << queries[q].id << "' is written as '" << names[q]
                      << "': its id is no file name\n";
    return names;
}

/// One run over all queries: searches in batches, writes each query's files in parallel, and tells in query order.
class Run {
  public:
    explicit Run(Arguments const& arguments)
        : settings_{settings_of(arguments)}, argv_{arguments.argv()}, started_{tape::utc_now()} {
        if (ranks_.size > 1) check_for_ranks();
        if (settings_.search_only()) hits_.emplace(program(), arguments, settings_.hits);
    }

    void operator()() {
        queries_ = tape::read_fasta(settings_.query);
        if (!settings_.database.empty())
            database_.emplace(tape::searchable_database(settings_.database, tape::cache_directory(), settings_.quiet));
        if (!settings_.search_only()) names_ = file_names(queries_, settings_.quiet || ranks_.rank > 0);
        if (!settings_.msa_directory.empty()) {
            tape::MsaSourceOptions options;
            options.directory = settings_.msa_directory, options.threads = settings_.threads;
            ready_.emplace(std::move(options));
        }
        if (settings_.dry_run) return ranks_.rank == 0 ? tell_plan() : void();
        if (settings_.search_only()) return search_only();
        tape::OutputFolder const folder{state_folder()};
        if (ranks_.size > 1) share_with_ranks();
        if (ranks_.rank > 0) return; // the first rank gathers
        write_all();
        write_manifest();
    }

  private:
    /// Per-query state that lets a run be taken up again: a content hash, then "alone" or nothing, then the printed
    /// line, then the lines of hits.tsv.
    [[nodiscard]] fs::path state_folder() const { return settings_.output / ".tape-msa"; }
    [[nodiscard]] fs::path state_file(std::size_t q) const { return state_folder() / (names_[q] + ".tsv"); }
    [[nodiscard]] fs::path feature_file(std::size_t q) const {
        return settings_.output / (names_[q] + ".features." + settings_.features);
    }
    [[nodiscard]] fs::path alignment_file(std::size_t q, tape::MsaFormat format) const {
        return settings_.output / (names_[q] + "." + std::string{tape::to_string(format)});
    }
    [[nodiscard]] fs::path page_file(std::size_t q) const { return settings_.output / (names_[q] + ".html"); }
    [[nodiscard]] fs::path profile_file(std::size_t q, std::string const& format) const {
        return settings_.output / (names_[q] + "." + format);
    }

    void check_for_ranks() const {
        if (settings_.query == "-") throw tape::usage_error{"several ranks read one file of proteins; - is read once"};
        if (settings_.search_only())
            throw tape::usage_error{"--hits without -o runs in one process; several ranks need a folder, -o"};
        if (settings_.force)
            throw tape::usage_error{"--force would make everything once a rank; remove " + state_folder().string() +
                                    " instead"};
    }

    void tell_plan() const {
        std::cout << tape::counted(queries_.size(), "query record") << " of " << settings_.query.string();
        if (database_)
            std::cout << " against " << tape::counted(database_->size(), "sequence") << " ("
                      << tape::counted(database_->residue_count(), "residue") << ") of " << database_->path().string()
                      << ", " << tape::counted(static_cast<std::size_t>(settings_.search.rounds), "round");
        std::cout << "; would write " << (settings_.search_only() ? settings_.hits.string() : settings_.output.string())
                  << '\n';
    }

    void search_only() {
        std::size_t hits = 0, empty = 0;
        tape::write_atomically(settings_.hits, [&](std::ostream& out) {
            out << hits_header(false);
            settings_.search.quiet = settings_.quiet;
            tape::search(*database_, queries_, settings_.search, [&](std::size_t q, tape::SearchResult&& result) {
                out << hit_rows(queries_[q].id, *database_, result, false);
                hits += result.hits.size(), empty += result.hits.empty();
            });
        });
        if (settings_.query != "-") hits_->add_input(settings_.query, tape::content_hash_of_file(settings_.query));
        hits_->add_input(settings_.database, database_->content_hash());
        hits_->write_manifest({{"search", tape::search_hash(*database_, settings_.search)},
                               {"queries", std::to_string(queries_.size())},
                               {"hits", std::to_string(hits)}});
        if (settings_.quiet) return;
        std::ostream& out = settings_.hits == "-" ? std::cerr : std::cout;
        out << settings_.hits.string() << ": " << tape::counted(hits, "hit") << " of "
            << tape::counted(queries_.size(), "protein") << '\n';
        if (empty > 0)
            std::cerr << "tape-msa: no hits for " << tape::counted(empty, "protein")
                      << " at E <= " << settings_.search.evalue << '\n';
    }

    /// Of everything that decides a query's files.
    [[nodiscard]] std::string content_hash(std::size_t q) const {
        std::string text = "tape-msa 3\n" + queries_[q].id + "\n" + queries_[q].description + "\n" +
                           settings_.features + (settings_.coevolution ? " coevolution" : "");
        for (auto const& couplings : settings_.couplings) text += " " + couplings;
        for (auto const format : settings_.formats) text.append(" ").append(tape::to_string(format));
        for (auto const& format : settings_.profiles) text.append(" ").append(format);
        if (settings_.html) text += " page 1";
        if (!settings_.filter.keeps_all())
            text += formatted("\nfilter 1: %.17g %.17g %.17g %.17g %.17g %zu", settings_.filter.min_coverage,
                              settings_.filter.min_query_identity, settings_.filter.max_query_identity,
                              settings_.filter.min_score, settings_.filter.max_pairwise_identity,
                              settings_.filter.diversity);
        if (database_) text += "\n" + tape::search_hash(*database_, settings_.search);
        return tape::content_hash(text + "\n" + (ready_ ? ready_->key(queries_[q]) : queries_[q].residues));
    }

    /// The outcome of an earlier run with the same content hash, if its files are all there.
    [[nodiscard]] std::optional<Outcome> kept(std::size_t q) const {
        if (settings_.force || !fs::exists(state_file(q))) return std::nullopt;
        if (settings_.features != "none" && !fs::exists(feature_file(q))) return std::nullopt;
        for (auto const format : settings_.formats)
            if (!fs::exists(alignment_file(q, format))) return std::nullopt;
        for (auto const& format : settings_.profiles)
            if (!fs::exists(profile_file(q, format))) return std::nullopt;
        if (settings_.html && !fs::exists(page_file(q))) return std::nullopt;
        std::istringstream state{tape::read_text(state_file(q))};
        std::string hash, alone;
        Outcome outcome;
        if (!std::getline(state, hash) || !std::getline(state, alone) || !std::getline(state, outcome.summary) ||
            hash != content_hash(q))
            return std::nullopt;
        outcome.kept = true, outcome.alone = alone == "alone",
        outcome.hit_rows.assign(std::istreambuf_iterator<char>{state}, {});
        if (settings_.view && !settings_.formats.empty())
            outcome.result.msa = tape::read_msa(alignment_file(q, settings_.formats.front()));
        return outcome;
    }

    /// Makes the files of all queries together with the other ranks, one query an item.
    void share_with_ranks() {
        tape::Progress progress{"rank " + std::to_string(ranks_.rank), queries_.size(), "proteins", settings_.quiet};
        tape::SharedQueue queue{state_folder() / "queue", queries_.size()};
        queue.run([&](std::size_t q) { return progress.advance(), kept(q).has_value(); },
                  [&](std::size_t q) { run_batch(q, q + 1); });
    }

    void write_all() {
        fs::path const hits_file = settings_.hits.empty() ? settings_.output / "hits.tsv" : settings_.hits;
        tape::AtomicFile hits{hits_file};
        hits.stream() << hits_header(true);
        bool const tell = !settings_.quiet && hits_file != "-"; // the table of hits has standard output for itself
        if (tell)
            std::cout << formatted("%-24s %7s %9s %9s %7s  %s\n", "query", "length", "homologs", "Neff", "rounds",
                                   "alignment");
        tape::Progress progress{"alignments", queries_.size(), "proteins", settings_.quiet};
        std::size_t const batch = std::max<std::size_t>(16, 4 * static_cast<std::size_t>(settings_.threads));
        for (std::size_t begin = 0; begin < queries_.size(); begin += batch) {
            auto outcomes = run_batch(begin, std::min(queries_.size(), begin + batch));
            for (auto const& outcome : outcomes) {
                hits.stream() << outcome.hit_rows;
                if (tell) std::cout << outcome.summary << (outcome.kept && ranks_.size == 1 ? " (kept)" : "") << '\n';
                alone_ += outcome.alone;
                std::cout << outcome.view << std::flush;
            }
            progress.advance(outcomes.size());
        }
        hits.commit();
    }

    std::vector<Outcome> run_batch(std::size_t begin, std::size_t end) {
        std::vector<Outcome> outcomes(end - begin);
        std::vector<tape::Protein> searched;
        std::vector<std::size_t> place;
        for (std::size_t q = begin; q < end; ++q) {
            Outcome& outcome = outcomes[q - begin];
            if (auto earlier = kept(q)) {
                outcome = std::move(*earlier);
                continue;
            }
            if (ready_) outcome.result.msa = ready_->alignment(queries_[q]);
            if (!database_ || (ready_ && outcome.result.msa.source.starts_with("ready"))) continue;
            searched.push_back(queries_[q]), place.push_back(q - begin);
        }
        if (!searched.empty())
            tape::search(*database_, searched, settings_.search, [&](std::size_t s, tape::SearchResult&& result) {
                outcomes[place[s]].result = std::move(result), outcomes[place[s]].searched = true;
            });
        int const inner = outcomes.size() == 1 ? settings_.threads : 1;
        tape::parallel_for(outcomes.size(), settings_.threads,
                           [&](std::size_t o, int) { write_query(begin + o, outcomes[o], inner); });
        for (std::size_t o = 0; o < outcomes.size(); ++o) warn_if_alone(queries_[begin + o], outcomes[o]);
        return outcomes;
    }

    void write_query(std::size_t q, Outcome& outcome, int threads) const {
        tape::Msa& msa = outcome.result.msa;
        if (!outcome.kept && !settings_.filter.keeps_all()) msa = tape::filtered(msa, settings_.filter);
        if (settings_.view && !msa.rows.empty())
            outcome.view = "\n" +
                           tape::alignment_view(msa, tape::make_profile(msa, {.neff_identity = false}),
                                                {.colour = isatty(STDOUT_FILENO) == 1}) +
                           "\n";
        if (outcome.kept) return;
        outcome.alone = msa.depth() == 1;
        // A ready alignment's first row may carry another name than the query's.
        msa.rows.front().id = queries_[q].id, msa.rows.front().description = queries_[q].description;
        for (auto const format : settings_.formats)
            tape::write_atomically(alignment_file(q, format),
                                   [&](std::ostream& out) { tape::write_msa(out, msa, format); });
        for (auto const& format : settings_.profiles)
            tape::write_atomically(profile_file(q, format),
                                   [&](std::ostream& out) { write_profile(out, msa, format, threads); });
        auto const features = features_of(queries_[q].id, msa, threads);
        if (settings_.features != "none") tape::write_alignment_features(feature_file(q), features);
        auto const values = [&](std::string const& name) {
            return std::ranges::find(features, name, &std::pair<std::string, tape::Array>::first)->second.as<float>();
        };
        float const neff = values("neff")[0];
        if (settings_.html) write_page(q, msa, values("weights"), values("identity_weights"), neff);
        outcome.summary = summary(queries_[q], outcome, neff);
        if (outcome.searched) outcome.hit_rows = hit_rows(queries_[q].id, *database_, outcome.result, true);
        tape::write_text(state_file(q), content_hash(q) + (outcome.alone ? "\nalone\n" : "\n\n") + outcome.summary +
                                            '\n' + outcome.hit_rows);
    }

    [[nodiscard]] std::vector<std::pair<std::string, tape::Array>> features_of(std::string const& id,
                                                                               tape::Msa const& msa, int threads) const
        try {
        auto const wanted = [&](char const* name) {
            return std::ranges::find(settings_.couplings, name) != settings_.couplings.end();
        };
        return tape::alignment_features(msa, {.coevolution = settings_.coevolution,
                                              .mutual_information = wanted("mi"),
                                              .mean_field = wanted("mean-field"),
                                              .potts = wanted("plm"),
                                              .threads = threads});
    } catch (std::exception const&) {
        std::throw_with_nested(tape::error{"features of record '" + id + "'"});
    }

    /// Direct couplings cost (20 L)^2 for each row; long proteins get mutual information instead.
    void write_page(std::size_t q, tape::Msa const& msa, std::span<float const> weights,
                    std::span<float const> identity_weights, float neff) const {
        constexpr std::size_t longest_for_couplings = 700;
        bool const direct = msa.length() <= longest_for_couplings;
        std::vector<float> map;
        if (msa.depth() > 1)
            map = tape::average_product_correction(direct ? tape::mean_field_couplings(msa, identity_weights)
                                                          : tape::mutual_information(msa, identity_weights),
                                                   msa.length());
        std::string const name = direct ? "Mean-field direct couplings" : "Mutual information of columns";
        auto const profile = tape::make_profile(msa, weights, {.neff_identity = false});
        tape::write_text(page_file(q), tape::alignment_page(msa, profile,
                                                            {.couplings = map,
                                                             .couplings_name = name + ", average product correction",
                                                             .neff = static_cast<double>(neff)}));
    }

    [[nodiscard]] static std::string summary(tape::Protein const& query, Outcome const& outcome, float neff) {
        auto const& result = outcome.result;
        std::string const rounds = outcome.searched ? std::to_string(result.rounds.size()) : "-";
        std::string source = result.msa.source;
        if (outcome.searched)
            source += result.msa.depth() == 1 ? ": no homologs" : result.converged ? ", converged" : "";
        return formatted("%-24.60s %7zu %9zu %9.1f %7s  ", query.id.c_str(), query.residues.size(),
                         result.msa.depth() - 1, static_cast<double>(neff), rounds.c_str()) +
               source;
    }

    /// An alignment of the query alone makes poor features.
    void warn_if_alone(tape::Protein const& query, Outcome const& outcome) const {
        if (outcome.kept || !outcome.alone || settings_.quiet) return;
        if (!outcome.result.hits.empty())
            std::cerr << "tape-msa: the filters left no row of '" << query.id
                      << "' but the query: " << tape::counted(outcome.result.hits.size(), "hit") << " removed\n";
        else if (outcome.searched)
            std::cerr << "tape-msa: no homologs of '" << query.id << "' in " << database_->path().filename().string()
                      << " at E <= " << settings_.search.evalue << ": wrote the query alone\n";
        else if (outcome.result.msa.source.starts_with("ready"))
            std::cerr << "tape-msa: the ready alignment of '" << query.id << "' holds the query alone\n";
        else
            std::cerr << "tape-msa: no alignment of '" << query.id << "' in " << settings_.msa_directory.string()
                      << " and no --db: wrote the query alone\n";
    }

    void write_manifest() const {
        tape::Manifest manifest;
        manifest.program = "tape-msa", manifest.argv = argv_, manifest.version = TAPE_VERSION,
        manifest.started = started_;
        if (settings_.query != "-")
            manifest.inputs[settings_.query.string()] = tape::content_hash_of_file(settings_.query);
        if (database_) manifest.inputs[settings_.database.string()] = database_->content_hash();
        if (database_) manifest.details["search"] = tape::search_hash(*database_, settings_.search);
        if (ready_) manifest.details["ready alignments"] = settings_.msa_directory.string();
        manifest.details["threads"] = std::to_string(settings_.threads),
        manifest.details["queries"] = std::to_string(queries_.size());
        manifest.details["queries without homologs"] = std::to_string(alone_);
        manifest.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        tape::write_text(settings_.output / "manifest.json", to_json(manifest).dump(2) + "\n");
    }

    Settings settings_;
    std::optional<tape::cli::OutputFile> hits_; ///< of a search without alignments
    std::vector<std::string> argv_;
    std::string started_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::vector<tape::Protein> queries_;
    std::vector<std::string> names_;
    std::size_t alone_ = 0; ///< queries without another row
    tape::Rank ranks_ = tape::launched_rank();
    std::optional<tape::Database> database_;
    std::optional<tape::MsaSource> ready_;
};

/// --set: one aligned FASTA file, rows in the order given.
void align_set(Arguments const& arguments) {
    for (auto const* other : {"db", "msa-dir", "hits"})
        if (!arguments.text(other).empty())
            throw tape::usage_error{std::string{"--set aligns the proteins of its file alone; leave out --"} + other};
    if (!arguments.positional().empty())
        throw tape::usage_error{"--set names the proteins to align; leave out '" + arguments.positional().front() +
                                "'"};
    fs::path const file = arguments.text("set");
    if (arguments.text("output").empty()) throw tape::usage_error{"name the aligned FASTA file with -o (- is stdout)"};
    tape::cli::OutputFile written{program(), arguments, arguments.text("output")};
    auto const& output = written.path();
    auto const proteins = tape::read_fasta(file);
    std::ostream& out = output == "-" ? std::cerr : std::cout;
    if (arguments.flag("dry-run")) {
        out << tape::counted(proteins.size(), "protein") << " of " << file.string() << "; would write "
            << output.string() << '\n';
        return;
    }
    std::vector<std::vector<tape::Residue>> sequences;
    for (auto const& protein : proteins) sequences.push_back(tape::encode_residues(protein.residues));
    tape::FamilyOptions options;
    options.threads = tape::resolve_threads(static_cast<int>(arguments.integer("threads")));
    auto const alignment = tape::align_family(sequences, options);
    auto rows = proteins;
    for (std::size_t r = 0; r < rows.size(); ++r)
        rows[r].residues = tape::aligned_letters(alignment, r, proteins[r].residues);
    if (file != "-") written.add_input(file.string(), tape::content_hash_of_file(file));
    tape::write_atomically(output, [&](std::ostream& to) { tape::write_fasta(to, rows); });
    written.write_manifest({{"columns", std::to_string(alignment.length)}});
    if (!arguments.flag("quiet"))
        out << output.string() << ": " << tape::counted(rows.size(), "protein") << ", "
            << tape::counted(alignment.length, "column") << '\n';
}

void run(Arguments const& arguments) {
    if (!arguments.text("set").empty()) return tape::launched_rank().rank == 0 ? align_set(arguments) : void();
    Run{arguments}();
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, run); }
