#include "align/hhm_format.hpp"
#include "align/hmm_format.hpp"
#include "align/hmm_statistics.hpp"
#include "align/pssm_format.hpp"
#include "apps/output.hpp"
#include "apps/tape_msa.hpp"
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
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>
#include <unordered_map>

namespace tape::cli {
namespace {

namespace fs = std::filesystem;

void write_profile(std::ostream& out, Msa const& msa, std::string const& format, int threads) {
    if (format == "pssm") {
        auto const profile = make_profile(msa, {.neff_identity = false});
        return write_pssm(out, make_pssm(decode_residues(msa.rows.front().columns), profile));
    }
    if (format == "hhm") return write_hhm(out, estimate_hmm(msa, {.priors = false, .fragment_threshold = 1}));
    auto hmm = estimate_hmm(msa);
    hmm.statistics = calibrate(hmm, 42, threads);
    write_hmmer(out, hmm);
}

/// What one query gave.
struct Outcome {
    SearchResult result;
    bool searched = false, kept = false;
    bool alone = false;              ///< no row but the query
    std::string hit_rows;            ///< its lines of hits.tsv
    std::vector<std::string> rounds; ///< its lines of rounds.tsv
    std::string summary;             ///< its line of the printed table
    std::string variants;            ///< what its variants came to, in one line
    std::string view;
};

std::string formatted(char const* format, auto... values) {
    char text[256];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

/// Lines of hits.tsv. Positions count from 1, ends included; without alignments there are none.
std::string hit_rows(std::string const& query, Database const& database, SearchResult const& result, bool aligned) {
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

/// Lines of rounds.tsv.
std::vector<std::string> round_rows(std::string const& query, SearchResult const& result) {
    std::vector<std::string> rows;
    for (auto const& round : result.rounds)
        rows.push_back(query + formatted("\t%zu\t%zu\t%zu\t%zu\t%.1f", rows.size() + 1, round.included, round.added,
                                         round.lost, round.query_bits));
    return rows;
}

/// File names of the queries, by id; two ids must not share one.
std::vector<std::string> file_names(std::vector<Protein> const& queries, bool quiet) {
    std::unordered_map<std::string, std::string const*> taken;
    std::vector<std::string> names;
    for (auto const& query : queries) {
        names.push_back(file_name_of_id(query.id));
        auto const [place, is_new] = taken.try_emplace(names.back(), &query.id);
        if (!is_new)
            throw data_error{"records '" + *place->second + "' and '" + query.id + "' would both be written as '" +
                             names.back() + "'; rename one"};
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
        : settings_{msa_settings(arguments)}, argv_{arguments.argv()}, started_{utc_now()} {
        if (ranks_.size > 1) check_for_ranks();
        if (settings_.search_only()) hits_.emplace(tape_msa_program(), arguments, settings_.hits);
    }

    void operator()() {
        queries_ = read_fasta(settings_.query);
        if (!settings_.variants.empty()) variants_.emplace(settings_, queries_);
        if (!settings_.database.empty())
            database_.emplace(searchable_database(settings_.database, cache_directory(), settings_.quiet));
        if (!settings_.clusters.empty())
            settings_.search.clusters = std::make_shared<ScanClusters>(*database_, settings_.clusters);
        else if (!settings_.quiet && ranks_.rank == 0 && database_ && repays_clusters())
            std::cerr << "tape-msa: for " << counted(queries_.size(), "query")
                      << " a table of clusters repays: tape-db "
                      << "cluster " << database_->path().string() << " -o clusters.tsv, then --clusters clusters.tsv\n";
        if (!settings_.search_only()) names_ = file_names(queries_, settings_.quiet || ranks_.rank > 0);
        if (!settings_.msa_directory.empty()) {
            MsaSourceOptions options;
            options.directory = settings_.msa_directory, options.threads = settings_.threads;
            ready_.emplace(std::move(options));
        }
        if (settings_.dry_run) return ranks_.rank == 0 ? tell_plan() : void();
        if (settings_.search_only()) return search_only();
        OutputFolder const folder{state_folder()};
        if (ranks_.size > 1) share_with_ranks();
        if (ranks_.rank > 0) return; // the first rank gathers
        write_all();
        write_manifest();
    }

  private:
    /// Per-query state that lets a run be taken up again: a content hash, then "alone" or nothing, then the printed
    /// line, then that of its variants if there are any, then the number of lines of rounds.tsv and these, then those
    /// of hits.tsv.
    [[nodiscard]] fs::path state_folder() const { return settings_.output / ".tape-msa"; }
    [[nodiscard]] fs::path state_file(std::size_t q) const { return state_folder() / (names_[q] + ".tsv"); }
    [[nodiscard]] fs::path feature_file(std::size_t q) const {
        return settings_.output / (names_[q] + ".features." + settings_.features);
    }
    [[nodiscard]] fs::path alignment_file(std::size_t q, MsaFormat format) const {
        return settings_.output / (names_[q] + "." + std::string{to_string(format)});
    }
    [[nodiscard]] fs::path page_file(std::size_t q) const { return settings_.output / (names_[q] + ".html"); }
    [[nodiscard]] fs::path profile_file(std::size_t q, std::string const& format) const {
        return settings_.output / (names_[q] + "." + format);
    }

    [[nodiscard]] fs::path variants_file(std::size_t q) const {
        return settings_.output / (names_[q] + ".variants.tsv");
    }
    [[nodiscard]] bool has_variants(std::size_t q) const { return variants_ && variants_->has(q); }

    void check_for_ranks() const {
        if (settings_.query == "-") throw usage_error{"several ranks read one file of proteins; - is read once"};
        if (settings_.variants == "-") throw usage_error{"several ranks read one --variants file; - is read once"};
        if (settings_.search_only())
            throw usage_error{"--hits without -o runs in one process; several ranks need a folder, -o"};
        if (settings_.force)
            throw usage_error{"--force would make everything once a rank; remove " + state_folder().string() +
                              " instead"};
    }

    /// Clustering takes as long as a table saves over some 450 queries (Swiss-Prot; both grow with the database).
    [[nodiscard]] bool repays_clusters() const {
        return queries_.size() >= 500 && database_->residue_count() >= 50'000'000;
    }

    void tell_plan() const {
        std::cout << counted(queries_.size(), "query record") << " of " << settings_.query.string();
        if (database_)
            std::cout << " against " << counted(database_->size(), "sequence") << " ("
                      << counted(database_->residue_count(), "residue") << ") of " << database_->path().string() << ", "
                      << counted(static_cast<std::size_t>(settings_.search.rounds), "round");
        std::cout << "; would write " << (settings_.search_only() ? settings_.hits.string() : settings_.output.string())
                  << '\n';
    }

    void search_only() {
        std::size_t hits = 0, empty = 0;
        write_atomically(settings_.hits, [&](std::ostream& out) {
            out << hits_header(false);
            settings_.search.quiet = settings_.quiet;
            search(*database_, queries_, settings_.search, [&](std::size_t q, SearchResult&& result) {
                out << hit_rows(queries_[q].id, *database_, result, false);
                hits += result.hits.size(), empty += result.hits.empty();
            });
        });
        if (settings_.query != "-") hits_->add_input(settings_.query, content_hash_of_file(settings_.query));
        hits_->add_input(settings_.database, database_->content_hash());
        if (settings_.search.clusters) hits_->add_input(settings_.clusters, content_hash_of_file(settings_.clusters));
        hits_->write_manifest({{"search", search_hash(*database_, settings_.search)},
                               {"queries", std::to_string(queries_.size())},
                               {"hits", std::to_string(hits)}});
        if (settings_.quiet) return;
        std::ostream& out = settings_.hits == "-" ? std::cerr : std::cout;
        out << settings_.hits.string() << ": " << counted(hits, "hit") << " of " << counted(queries_.size(), "protein")
            << '\n';
        if (empty > 0)
            std::cerr << "tape-msa: no hits for " << counted(empty, "protein") << " at E <= " << settings_.search.evalue
                      << '\n';
    }

    /// Of everything that decides a query's files.
    [[nodiscard]] std::string content_hash(std::size_t q) const {
        std::string text = "tape-msa 4\n" + queries_[q].id + "\n" + queries_[q].description + "\n" +
                           settings_.features + (settings_.coevolution ? " coevolution" : "");
        for (auto const& couplings : settings_.couplings) text += " " + couplings;
        for (auto const format : settings_.formats) text.append(" ").append(to_string(format));
        for (auto const& format : settings_.profiles) text.append(" ").append(format);
        if (settings_.html) text += " page 1";
        if (!settings_.filter.keeps_all())
            text += formatted("\nfilter 1: %.17g %.17g %.17g %.17g %.17g %zu", settings_.filter.min_coverage,
                              settings_.filter.min_query_identity, settings_.filter.max_query_identity,
                              settings_.filter.min_score, settings_.filter.max_pairwise_identity,
                              settings_.filter.diversity);
        if (has_variants(q)) text += variants_->key(q);
        if (database_) text += "\n" + search_hash(*database_, settings_.search);
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
        if (has_variants(q) && !fs::exists(variants_file(q))) return std::nullopt;
        std::istringstream state{read_text(state_file(q))};
        std::string hash, alone;
        Outcome outcome;
        if (!std::getline(state, hash) || !std::getline(state, alone) || !std::getline(state, outcome.summary) ||
            hash != content_hash(q) || (has_variants(q) && !std::getline(state, outcome.variants)))
            return std::nullopt;
        std::size_t rounds = 0;
        if (!(state >> rounds) || state.get() != '\n') return std::nullopt;
        for (std::string line; outcome.rounds.size() < rounds && std::getline(state, line);)
            outcome.rounds.push_back(line);
        outcome.kept = true, outcome.alone = alone == "alone",
        outcome.hit_rows.assign(std::istreambuf_iterator<char>{state}, {});
        if (settings_.view && !settings_.formats.empty())
            outcome.result.msa = read_msa(alignment_file(q, settings_.formats.front()));
        return outcome;
    }

    /// Makes the files of all queries together with the other ranks, one query an item.
    void share_with_ranks() {
        Progress progress{"rank " + std::to_string(ranks_.rank), queries_.size(), "proteins", settings_.quiet};
        SharedQueue queue{state_folder() / "queue", queries_.size()};
        queue.run([&](std::size_t q) { return progress.advance(), kept(q).has_value(); },
                  [&](std::size_t q) { run_batch(q, q + 1); });
    }

    void write_all() {
        fs::path const hits_file = settings_.hits.empty() ? settings_.output / "hits.tsv" : settings_.hits;
        AtomicFile hits{hits_file};
        hits.stream() << hits_header(true);
        std::optional<AtomicFile> rounds;
        if (database_) {
            rounds.emplace(settings_.output / "rounds.tsv");
            rounds->stream() << "#query\tround\tincluded\tadded\tlost\tquery_bits\n";
        }
        bool const tell = !settings_.quiet && hits_file != "-"; // the table of hits has standard output for itself
        if (tell)
            std::cout << formatted("%-24s %7s %9s %9s %7s  %s\n", "query", "length", "homologs", "Neff", "rounds",
                                   "alignment");
        Progress progress{"alignments", queries_.size(), "proteins", settings_.quiet};
        std::size_t const batch = std::max<std::size_t>(16, 4 * static_cast<std::size_t>(settings_.threads));
        for (std::size_t begin = 0; begin < queries_.size(); begin += batch) {
            auto outcomes = run_batch(begin, std::min(queries_.size(), begin + batch));
            for (std::size_t o = 0; o < outcomes.size(); ++o) {
                auto const& outcome = outcomes[o];
                hits.stream() << outcome.hit_rows;
                for (auto const& row : outcome.rounds) rounds->stream() << row << '\n';
                if (tell) std::cout << outcome.summary << (outcome.kept && ranks_.size == 1 ? " (kept)" : "") << '\n';
                if (tell && !outcome.variants.empty()) std::cout << "    " << outcome.variants << '\n';
                if (!outcome.variants.empty()) told_of_variants_[queries_[begin + o].id] = outcome.variants;
                alone_ += outcome.alone;
                std::cout << outcome.view << std::flush;
            }
            progress.advance(outcomes.size());
        }
        hits.commit();
        if (rounds) rounds->commit();
    }

    std::vector<Outcome> run_batch(std::size_t begin, std::size_t end) {
        std::vector<Outcome> outcomes(end - begin);
        std::vector<Protein> searched;
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
            search(*database_, searched, settings_.search, [&](std::size_t s, SearchResult&& result) {
                outcomes[place[s]].result = std::move(result), outcomes[place[s]].searched = true;
            });
        int const inner = outcomes.size() == 1 ? settings_.threads : 1;
        parallel_for(outcomes.size(), settings_.threads,
                     [&](std::size_t o, int) { write_query(begin + o, outcomes[o], inner); });
        for (std::size_t o = 0; o < outcomes.size(); ++o) warn_if_alone(queries_[begin + o], outcomes[o]);
        return outcomes;
    }

    void write_query(std::size_t q, Outcome& outcome, int threads) const {
        Msa& msa = outcome.result.msa;
        if (!outcome.kept && !settings_.filter.keeps_all()) msa = filtered(msa, settings_.filter);
        if (settings_.view && !msa.rows.empty())
            outcome.view = "\n" +
                           alignment_view(msa, make_profile(msa, {.neff_identity = false}),
                                          {.colour = isatty(STDOUT_FILENO) == 1}) +
                           "\n";
        if (outcome.kept) return;
        outcome.alone = msa.depth() == 1;
        // A ready alignment's first row may carry another name than the query's.
        msa.rows.front().id = queries_[q].id, msa.rows.front().description = queries_[q].description;
        for (auto const format : settings_.formats)
            write_atomically(alignment_file(q, format), [&](std::ostream& out) { write_msa(out, msa, format); });
        for (auto const& format : settings_.profiles)
            write_atomically(profile_file(q, format),
                             [&](std::ostream& out) { write_profile(out, msa, format, threads); });
        auto const potts = has_variants(q) ? potts_of(queries_[q].id, msa, threads) : nullptr;
        auto const features = features_of(queries_[q].id, msa, potts, threads);
        if (settings_.features != "none") write_alignment_features(feature_file(q), features);
        auto const values = [&](std::string const& name) {
            return std::ranges::find(features, name, &std::pair<std::string, Array>::first)->second.as<float>();
        };
        float const neff = values("neff")[0];
        if (settings_.html) write_page(q, msa, values("weights"), values("identity_weights"), neff);
        if (has_variants(q)) outcome.variants = variants_->write(variants_file(q), q, msa, potts, threads);
        outcome.summary = summary(queries_[q], outcome, neff);
        if (outcome.searched) {
            outcome.hit_rows = hit_rows(queries_[q].id, *database_, outcome.result, true);
            outcome.rounds = round_rows(queries_[q].id, outcome.result);
        }
        std::string state = content_hash(q) + (outcome.alone ? "\nalone\n" : "\n\n") + outcome.summary + '\n';
        if (has_variants(q)) state += outcome.variants + '\n';
        state += std::to_string(outcome.rounds.size()) + '\n';
        for (auto const& row : outcome.rounds) state += row + '\n';
        write_text(state_file(q), state + outcome.hit_rows);
    }

    [[nodiscard]] bool wanted(char const* couplings) const {
        return std::ranges::find(settings_.couplings, couplings) != settings_.couplings.end();
    }

    /// The Potts model for both the features and the variants; none unless asked for.
    [[nodiscard]] std::shared_ptr<PottsModel const> potts_of(std::string const& id, Msa const& msa, int threads) const
        try {
        if (!wanted("plm")) return nullptr;
        return std::make_shared<PottsModel const>(
            fit_potts(msa, identity_weights(msa, 0.8, threads), {.threads = threads}));
    } catch (std::exception const&) {
        std::throw_with_nested(error{"Potts model of record '" + id + "'"});
    }

    [[nodiscard]] std::vector<std::pair<std::string, Array>> features_of(std::string const& id, Msa const& msa,
                                                                         std::shared_ptr<PottsModel const> const& potts,
                                                                         int threads) const try {
        return alignment_features(msa, {.coevolution = settings_.coevolution,
                                        .mutual_information = wanted("mi"),
                                        .mean_field = wanted("mean-field"),
                                        .potts = wanted("plm"),
                                        .potts_model = potts,
                                        .threads = threads});
    } catch (std::exception const&) {
        std::throw_with_nested(error{"features of record '" + id + "'"});
    }

    /// Direct couplings cost (20 L)^2 for each row; long proteins get mutual information instead.
    void write_page(std::size_t q, Msa const& msa, std::span<float const> weights,
                    std::span<float const> identity_weights, float neff) const {
        constexpr std::size_t longest_for_couplings = 700;
        bool const direct = msa.length() <= longest_for_couplings;
        std::vector<float> map;
        if (msa.depth() > 1)
            map = average_product_correction(direct ? mean_field_couplings(msa, identity_weights)
                                                    : mutual_information(msa, identity_weights),
                                             msa.length());
        std::string const name = direct ? "Mean-field direct couplings" : "Mutual information of columns";
        auto const profile = make_profile(msa, weights, {.neff_identity = false});
        write_text(page_file(q), alignment_page(msa, profile,
                                                {.couplings = map,
                                                 .couplings_name = name + ", average product correction",
                                                 .neff = static_cast<double>(neff)}));
    }

    [[nodiscard]] static std::string summary(Protein const& query, Outcome const& outcome, float neff) {
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
    void warn_if_alone(Protein const& query, Outcome const& outcome) const {
        if (outcome.kept || !outcome.alone || settings_.quiet) return;
        if (!outcome.result.hits.empty())
            std::cerr << "tape-msa: the filters left no row of '" << query.id
                      << "' but the query: " << counted(outcome.result.hits.size(), "hit") << " removed\n";
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
        Manifest manifest;
        manifest.program = "tape-msa", manifest.argv = argv_, manifest.version = TAPE_VERSION,
        manifest.started = started_;
        if (settings_.query != "-") manifest.inputs[settings_.query.string()] = content_hash_of_file(settings_.query);
        if (database_) manifest.inputs[settings_.database.string()] = database_->content_hash();
        if (settings_.search.clusters)
            manifest.inputs[settings_.clusters.string()] = content_hash_of_file(settings_.clusters);
        if (database_) manifest.details["search"] = search_hash(*database_, settings_.search);
        if (!settings_.variants.empty() && settings_.variants != "-")
            manifest.inputs[settings_.variants.string()] = content_hash_of_file(settings_.variants);
        for (auto const& [id, told] : told_of_variants_) manifest.details["variants of " + id] = told;
        if (ready_) manifest.details["ready alignments"] = settings_.msa_directory.string();
        manifest.details["threads"] = std::to_string(settings_.threads),
        manifest.details["queries"] = std::to_string(queries_.size());
        manifest.details["queries without homologs"] = std::to_string(alone_);
        manifest.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        write_text(settings_.output / "manifest.json", to_json(manifest).dump(2) + "\n");
    }

    MsaSettings settings_;
    std::optional<OutputFile> hits_; ///< of a search without alignments
    std::vector<std::string> argv_;
    std::string started_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::vector<Protein> queries_;
    std::vector<std::string> names_;
    std::size_t alone_ = 0; ///< queries without another row
    Rank ranks_ = launched_rank();
    std::optional<Database> database_;
    std::optional<MsaSource> ready_;
    std::optional<QueryVariants> variants_;
    std::map<std::string, std::string> told_of_variants_; ///< by query id
};

} // namespace

void align_queries(Arguments const& arguments) { Run{arguments}(); }

} // namespace tape::cli
