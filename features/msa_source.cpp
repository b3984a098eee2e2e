#include "features/msa_source.hpp"

#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/parallel.hpp"
#include "features/placement.hpp"
#ifdef TAPE_WITH_SEARCH
#include "align/search.hpp"
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace tape {
namespace {

constexpr std::size_t search_batch = 64; // alignments in memory at once

using Codes = std::vector<Residue>;

Codes codes_of(Protein const& protein) {
    try {
        return encode_residues(protein.residues);
    } catch (data_error const&) {
        std::throw_with_nested(data_error{"alignment features of record '" + protein.id + "'"});
    }
}

/// Variants of one protein: equal length and at most this many differences.
std::size_t allowed_differences(std::size_t length) { return std::max<std::size_t>(4, length / 10); }

/// Number of differing places, or `limit` + 1 as soon as there are more than `limit`.
std::size_t differences_up_to(std::string_view a, std::string_view b, std::size_t limit) {
    std::size_t count = 0;
    for (std::size_t c = 0; c < a.size() && count <= limit; ++c) count += a[c] != b[c];
    return count;
}

/// Name without the suffix of a compression: "GFP.a2m.xz" -> "GFP.a2m".
std::string plain_name(std::filesystem::path const& file) {
    auto const extension = file.extension();
    return (extension == ".gz" || extension == ".xz" || extension == ".zst" ? file.stem() : file.filename()).string();
}

constexpr std::array alignment_extensions{".a3m", ".a2m", ".sto", ".fasta", ".aln"};

bool is_alignment(std::filesystem::path const& file) {
    return std::ranges::find(alignment_extensions, std::filesystem::path{plain_name(file)}.extension().string()) !=
           alignment_extensions.end();
}

/// An alignment that many proteins may share.
struct FamilyAlignment {
    Msa msa;
    std::vector<float> entropy; ///< of its columns, nats
    std::string name, hash;
};

/// How a protein gets its alignment. Proteins of one `text` share it.
struct Route {
    enum class Kind { ready, family, parent, own } kind = Kind::own;
    std::string text; ///< all that decides the alignment: file contents and offsets, or the residues searched with
    std::filesystem::path file;
    std::size_t family = 0;
    Placement placement;  ///< on the family's alignment
    std::string searched; ///< residues of the query of a search
};

/// An alignment as a route gives it.
struct Found {
    Msa msa;
    Indels indels;
};

/// Gaps of a placement, for the pooled terms.
Indels indels_of(Placement const& placement, std::span<float const> entropy) {
    Indels indels{.deletions = static_cast<float>(placement.deleted_columns.size()),
                  .insertions = static_cast<float>(placement.insertions)};
    for (int const column : placement.deleted_columns)
        indels.deleted_conservation += std::log(20.f) - entropy[static_cast<std::size_t>(column)];
    return indels;
}

/// What is read off an alignment; shared by the proteins of a route.
struct Evidence {
    Profile profile;
    FeatureMatrix column_rows;
    Codes query;
    Indels indels;
    std::string provenance;
    std::vector<float> pairs; ///< only if they were asked for
};

#ifdef TAPE_WITH_SEARCH
class Searcher {
  public:
    explicit Searcher(MsaSourceOptions const& options) : database_{options.database} {
        options_.rounds = options.rounds, options_.evalue = options.evalue,
        options_.inclusion_evalue = options.inclusion_evalue;
        options_.min_coverage = options.min_coverage, options_.max_hits = options.max_hits;
        options_.threads = options.threads, options_.quiet = options.quiet;
        if (!options.clusters.empty()) options_.clusters = std::make_shared<ScanClusters>(database_, options.clusters);
    }
    [[nodiscard]] std::string hash() const { return search_hash(database_, options_); }
    [[nodiscard]] std::string name() const { return database_.path().filename().string(); }
    [[nodiscard]] std::vector<Msa> run(std::vector<Protein> const& queries) const {
        std::vector<Msa> alignments(queries.size());
        search(database_, queries, options_,
               [&](std::size_t query, SearchResult&& result) { alignments[query] = std::move(result.msa); });
        return alignments;
    }

  private:
    Database database_;
    SearchOptions options_;
};
#else
class Searcher {
  public:
    explicit Searcher(MsaSourceOptions const& options) {
        throw usage_error{"cannot search " + options.database.string() +
                          ": this build has no database search (TAPE_WITH_SEARCH=OFF); give ready alignments"};
    }
    [[nodiscard]] std::string hash() const { return {}; }
    [[nodiscard]] std::string name() const { return {}; }
    [[nodiscard]] std::vector<Msa> run(std::vector<Protein> const&) const { return {}; }
};
#endif

} // namespace

std::vector<std::filesystem::path> bundled_alignments() {
    std::vector<std::filesystem::path> files;
    auto const folder = data_directory() / "msa";
    if (std::filesystem::is_directory(folder))
        for (auto const& entry : std::filesystem::directory_iterator{folder})
            if (is_alignment(entry.path())) files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

std::string file_name_of_id(std::string const& id) {
    constexpr std::size_t longest = 200;
    std::string name = id;
    for (char& c : name)
        if (c == '/' || static_cast<unsigned char>(c) < 32 || c == 127) c = '_';
    return name.size() <= longest ? name : name.substr(0, longest - 33) + "-" + tape::content_hash(id);
}

namespace {

/// Representatives by parts of their sequence, to find those within k differences without comparing with all.
///
/// The places of a sequence are dealt to k + 1 parts in turn; two sequences with at most k differences agree in a whole
/// part. Parts that take every (k + 1)-th place are distinctive where contiguous ones are not: designed proteins share
/// their ends.
class VariantIndex {
  public:
    /// The representative added first of those within the allowed differences.
    [[nodiscard]] std::optional<std::size_t> find(std::string const& residues) const {
        std::size_t const limit = allowed_differences(residues.size());
        std::optional<std::size_t> best;
        for (std::size_t part = 0; part <= limit; ++part)
            if (auto const found = members_.find(part_of(residues, part, limit + 1)); found != members_.end())
                for (std::size_t const candidate : found->second) {
                    if (best && candidate >= *best) break;
                    if (differences_up_to(*representatives_[candidate], residues, limit) <= limit) best = candidate;
                }
        return best;
    }

    /// @param residues  must outlive the index
    std::size_t add(std::string const& residues) {
        std::size_t const parts = allowed_differences(residues.size()) + 1;
        for (std::size_t part = 0; part < parts; ++part)
            members_[part_of(residues, part, parts)].push_back(representatives_.size());
        representatives_.push_back(&residues);
        return representatives_.size() - 1;
    }

  private:
    static std::string part_of(std::string const& residues, std::size_t part, std::size_t parts) {
        std::string text = std::to_string(residues.size()) + " " + std::to_string(part) + " ";
        for (std::size_t i = part; i < residues.size(); i += parts) text.push_back(residues[i]);
        return text;
    }

    std::vector<std::string const*> representatives_;
    std::unordered_map<std::string, std::vector<std::size_t>> members_; ///< ascending
};

} // namespace

std::vector<std::string> choose_parents(std::span<Protein const> proteins, std::size_t minimum_group) {
    VariantIndex index;
    std::vector<std::string const*> representatives;
    std::vector<std::size_t> group_sizes;
    for (auto const& protein : proteins) {
        if (auto const group = index.find(protein.residues)) {
            ++group_sizes[*group];
            continue;
        }
        index.add(protein.residues);
        representatives.push_back(&protein.residues), group_sizes.push_back(1);
    }
    std::vector<std::string> parents;
    for (std::size_t group = 0; group < representatives.size(); ++group)
        if (group_sizes[group] >= minimum_group) parents.push_back(*representatives[group]);
    return parents;
}

struct MsaSource::State {
    MsaSourceOptions options;
    std::optional<Searcher> searcher;
    std::vector<FamilyAlignment> families;
    std::vector<std::string> parents;
    std::unordered_map<std::size_t, std::vector<std::size_t>> parents_of_length;
    std::unordered_map<std::string, std::shared_ptr<Evidence const>>
        shared;                                                         ///< by route text; not for searches of its own
    std::unordered_map<std::string, std::filesystem::path> ready_files; ///< by id as a file name
    std::map<std::filesystem::path, std::string> file_hashes;
    std::mutex mutex;

    void add_parents(std::vector<std::string> const& more) {
        for (auto const& parent : more) {
            auto& known = parents_of_length[parent.size()];
            if (std::ranges::any_of(known, [&](std::size_t p) { return parents[p] == parent; })) continue;
            known.push_back(parents.size());
            parents.push_back(parent);
        }
    }

    /// Lists the directory once: a file system call a protein and extension would be slow on a network drive.
    void list_ready_files() {
        for (auto const& entry : std::filesystem::directory_iterator{options.directory}) {
            if (!entry.is_regular_file() || !is_alignment(entry.path())) continue;
            std::string const name = plain_name(entry.path());
            auto& place = ready_files[name.substr(0, name.rfind('.'))];
            // Of several files for one id the first extension wins, whatever order the directory comes in.
            if (place.empty() || preference(entry.path()) < preference(place)) place = entry.path();
        }
    }

    static std::pair<std::size_t, std::string> preference(std::filesystem::path const& file) {
        auto const extension = std::filesystem::path{plain_name(file)}.extension().string();
        return {
            static_cast<std::size_t>(std::ranges::find(alignment_extensions, extension) - alignment_extensions.begin()),
            file.filename().string()};
    }

    [[nodiscard]] std::filesystem::path const* ready_file(std::string const& id) const {
        auto const found = ready_files.find(file_name_of_id(id));
        return found == ready_files.end() ? nullptr : &found->second;
    }

    std::string hash_of(std::filesystem::path const& file) {
        std::lock_guard const guard{mutex};
        auto& hash = file_hashes[file];
        if (hash.empty()) hash = content_hash_of_file(file);
        return hash;
    }

    [[nodiscard]] std::optional<std::size_t> nearest_parent(std::string const& residues) const {
        auto const known = parents_of_length.find(residues.size());
        if (known == parents_of_length.end()) return std::nullopt;
        std::optional<std::size_t> best;
        std::size_t limit = allowed_differences(residues.size());
        for (std::size_t const p : known->second)
            if (auto const differences = differences_up_to(parents[p], residues, limit);
                differences <= limit && (!best || differences < limit))
                best = p, limit = differences;
        return best;
    }

    Route route(Protein const& protein) {
        Route route;
        if (!options.directory.empty())
            if (auto const* file = ready_file(protein.id)) {
                route.kind = Route::Kind::ready, route.file = *file;
                // The columns cut out of the file depend on the protein.
                route.text = "ready " + hash_of(*file) + " " + protein.residues;
                return route;
            }
        if (!families.empty()) {
            Codes const codes = codes_of(protein);
            for (std::size_t l = 0; l < families.size(); ++l)
                if (auto placement = place(codes, families[l].msa.rows.front().columns)) {
                    route.kind = Route::Kind::family, route.family = l;
                    route.text = "library " + families[l].hash + " " + placement->text();
                    route.placement = std::move(*placement);
                    return route;
                }
        }
        auto const parent = nearest_parent(protein.residues);
        route.kind = parent ? Route::Kind::parent : Route::Kind::own;
        route.searched = parent ? parents[*parent] : protein.residues;
        route.text = "search " + route.searched;
        return route;
    }

    [[nodiscard]] Found ready_alignment(Route const& route, Protein const& protein) const {
        Msa const msa = read_msa(route.file);
        auto const placement = place(codes_of(protein), msa.rows.front().columns);
        if (!placement)
            throw data_error{route.file.string() + ": the first row '" + msa.rows.front().id + "' (" +
                             std::to_string(msa.length()) + " residues) is not record '" + protein.id + "' (" +
                             std::to_string(protein.residues.size()) +
                             " residues): less than 80% of them agree; the query must come first"};
        Found found{.msa = placed_alignment(msa, *placement), .indels = {}};
        found.msa.source = "ready alignments of " + options.directory.filename().string();
        if (!placement->deleted_columns.empty() || placement->insertions > 0)
            found.indels = indels_of(*placement, make_profile(msa, {.neff_identity = false}).entropy);
        return found;
    }

    /// Alignments of some routes, in their order; `proteins` are the first ones to take each route.
    std::vector<Found> alignments(std::span<Route const> routes, std::span<Protein const* const> proteins) {
        std::vector<Found> result(routes.size());
        std::vector<Protein> queries;
        std::vector<std::size_t> places;
        for (std::size_t r = 0; r < routes.size(); ++r) {
            Route const& route = routes[r];
            if (route.kind == Route::Kind::ready) {
                result[r] = ready_alignment(route, *proteins[r]);
            } else if (route.kind == Route::Kind::family) {
                auto const& family = families[route.family];
                result[r] = {.msa = placed_alignment(family.msa, route.placement),
                             .indels = indels_of(route.placement, family.entropy)};
                result[r].msa.source = family.name;
            } else {
                queries.push_back({.id = proteins[r]->id, .description = {}, .residues = route.searched});
                places.push_back(r);
            }
        }
        auto found = searcher && !queries.empty() ? searcher->run(queries) : std::vector<Msa>(queries.size());
        for (std::size_t q = 0; q < queries.size(); ++q) {
            Msa& msa = result[places[q]].msa;
            msa = found[q].depth() > 1 ? std::move(found[q]) : query_only_msa(queries[q].id, queries[q].residues, {});
            msa.source = !searcher          ? "sequence only"
                         : msa.depth() == 1 ? "no homologs in " + searcher->name() + ": sequence only"
                                            : "search of " + searcher->name();
        }
        return result;
    }

    [[nodiscard]] static std::shared_ptr<Evidence const> read_evidence(Found const& found, bool pairs, int threads) {
        Msa const& msa = found.msa;
        auto evidence = std::make_shared<Evidence>();
        evidence->indels = found.indels;
        evidence->profile = make_profile(msa, {.threads = threads});
        evidence->column_rows = msa_column_rows(evidence->profile);
        evidence->query = msa.rows.front().columns, evidence->provenance = msa.source;
        if (pairs) evidence->pairs = msa_pairs(msa, threads);
        return evidence;
    }

    /// Evidence of each route; that of shared alignments is kept for later calls.
    std::vector<std::shared_ptr<Evidence const>> evidence(std::span<Route const> routes,
                                                          std::span<Protein const* const> proteins, bool pairs) {
        std::vector<std::shared_ptr<Evidence const>> result(routes.size());
        std::vector<std::size_t> open;
        for (std::size_t r = 0; r < routes.size(); ++r)
            if (auto const known = shared.find(routes[r].text);
                known != shared.end() && (!pairs || !known->second->pairs.empty()))
                result[r] = known->second;
            else
                open.push_back(r);
        for (std::size_t begin = 0; begin < open.size(); begin += search_batch) {
            std::span const batch{open.begin() + static_cast<std::ptrdiff_t>(begin),
                                  std::min(search_batch, open.size() - begin)};
            std::vector<Route> batch_routes;
            std::vector<Protein const*> batch_proteins;
            for (std::size_t const r : batch) batch_routes.push_back(routes[r]), batch_proteins.push_back(proteins[r]);
            auto const found = alignments(batch_routes, batch_proteins);
            // One alignment gets all threads for its identity weights; several are spread over them.
            int const inner = batch.size() == 1 ? options.threads : 1;
            parallel_for(batch.size(), options.threads,
                         [&](std::size_t b, int) { result[batch[b]] = read_evidence(found[b], pairs, inner); });
            for (std::size_t const r : batch)
                if (routes[r].kind == Route::Kind::family || routes[r].kind == Route::Kind::parent)
                    shared[routes[r].text] = result[r];
        }
        return result;
    }
};

MsaSource::MsaSource(MsaSourceOptions options) : state_{std::make_unique<State>()} {
    if (!options.directory.empty() && !std::filesystem::is_directory(options.directory))
        throw data_error{options.directory.string() + ": no such directory of alignments (--msa-dir)"};
    for (auto const& file : options.families) {
        Msa msa = read_msa(file);
        auto entropy = make_profile(msa, {.neff_identity = false}).entropy;
        state_->families.push_back(
            {std::move(msa), std::move(entropy), "bundled " + plain_name(file), content_hash_of_file(file)});
    }
    if (!options.database.empty()) state_->searcher.emplace(options);
    state_->add_parents(options.parents);
    state_->options = std::move(options);
    if (!state_->options.directory.empty()) state_->list_ready_files();
}
MsaSource::~MsaSource() = default;

std::string MsaSource::description() const {
    auto const& options = state_->options;
    std::string text = "alignment profile:";
    if (!options.directory.empty()) text += " ready alignments of " + options.directory.filename().string() + ", then";
    if (!options.families.empty()) text += " " + std::to_string(options.families.size()) + " bundled alignments, then";
    if (state_->searcher)
        return text + " search of " + state_->searcher->name() + " (" + std::to_string(options.rounds) +
               (options.rounds == 1 ? " round" : " rounds") + ")";
    return text + " the sequence alone";
}

int MsaSource::residue_width() const { return static_cast<int>(msa_residue_channels().size()); }
int MsaSource::pooled_width() const { return static_cast<int>(msa_pooled_channels().size()); }
int MsaSource::pair_width() const { return static_cast<int>(msa_pair_channels().size()); }

std::string MsaSource::content_hash() const {
    // Alignments and parents enter `key`; raise the number when a value changes for any other reason.
    return tape::content_hash("msa 1 " + (state_->searcher ? state_->searcher->hash() : std::string{"no search"}));
}

std::string MsaSource::key(Protein const& protein) const {
    return tape::content_hash(protein.residues + '\n' + state_->route(protein).text);
}

void MsaSource::prepare(std::span<Protein const> dataset) {
    // Variants of proteins of a family need no parents, and a family of thousands would only be scanned in vain.
    std::vector<Protein> rest;
    for (auto const& protein : dataset)
        if (state_->route(protein).kind == Route::Kind::own) rest.push_back(protein);
    state_->add_parents(choose_parents(rest));
}

std::vector<ProteinFeatures> MsaSource::compute(std::span<Protein const> proteins, FeatureRequest request) {
    std::vector<Route> routes; // distinct ones
    std::vector<Protein const*> first_proteins;
    std::vector<std::size_t> route_of(proteins.size());
    std::unordered_map<std::string, std::size_t> known;
    for (std::size_t p = 0; p < proteins.size(); ++p) {
        Route route = state_->route(proteins[p]);
        auto const [place, is_new] = known.try_emplace(route.text, routes.size());
        route_of[p] = place->second;
        if (is_new) routes.push_back(std::move(route)), first_proteins.push_back(&proteins[p]);
    }
    auto const evidence = state_->evidence(routes, first_proteins, request.pairs);
    std::vector<ProteinFeatures> result(proteins.size());
    parallel_for(proteins.size(), state_->options.threads, [&](std::size_t p, int) {
        Evidence const& found = *evidence[route_of[p]];
        Codes const codes = codes_of(proteins[p]);
        ProteinFeatures& features = result[p];
        features.depth = found.profile.neff_identity, features.provenance = found.provenance;
        if (request.rows || request.pooled) features.rows = with_residues(found.column_rows, codes);
        if (request.pooled)
            features.pooled = msa_pooled(features.rows, found.profile, codes, found.query, found.indels);
        if (!request.rows) features.rows.resize(0, 0);
        if (request.pairs) features.pairs = found.pairs;
    });
    return result;
}

Msa MsaSource::alignment(Protein const& protein) {
    Route const route = state_->route(protein);
    Protein const* const own = &protein;
    return std::move(state_->alignments({&route, 1}, {&own, 1}).front().msa);
}

} // namespace tape
