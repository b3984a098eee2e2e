#include "compare/experiment_relatives.hpp"

#include "data/error.hpp"
#include "data/parallel.hpp"
#include "data/temporary.hpp"
#ifdef TAPE_WITH_SEARCH
#include "align/database.hpp"
#include "align/search.hpp"
#endif

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>

namespace tape {

namespace {

std::size_t equal_places(std::string_view a, std::string_view b) {
    std::size_t equal = 0;
    for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
    return equal;
}

/// Share of equal places with the closest protein of the same length.
std::vector<float> ungapped_identities(std::span<Protein const> proteins, std::span<Protein const> others,
                                       int threads) {
    std::map<std::size_t, std::vector<std::string_view>> by_length;
    std::unordered_set<std::string_view> seen;
    for (auto const& other : others)
        if (seen.insert(other.residues).second) by_length[other.residues.size()].push_back(other.residues);
    std::vector<float> identities(proteins.size());
    parallel_for(proteins.size(), threads, [&](std::size_t i, int) {
        std::string const& residues = proteins[i].residues;
        auto const found = by_length.find(residues.size());
        if (found == by_length.end()) return;
        std::size_t most = 0;
        for (auto const other : found->second) most = std::max(most, equal_places(residues, other));
        identities[i] = static_cast<float>(most) / static_cast<float>(residues.size());
    });
    return identities;
}

#ifdef TAPE_WITH_SEARCH

constexpr double least_ungapped = 0.5; ///< from which ungapped identity is not searched further
constexpr double search_evalue = 0.01;
constexpr std::size_t search_hits = 100;

/// Index of the earlier protein whose search each one shares, or its own.
std::vector<std::size_t> representatives(std::span<Protein const> proteins) {
    std::vector<std::size_t> representative(proteins.size());
    std::map<std::size_t, std::vector<std::size_t>> by_length;
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::string const& residues = proteins[i].residues;
        auto& known = by_length[residues.size()];
        std::size_t const most = std::max<std::size_t>(4, residues.size() / 10);
        auto const close = std::ranges::find_if(known, [&](std::size_t k) {
            return residues.size() - equal_places(residues, proteins[k].residues) <= most;
        });
        representative[i] = close == known.end() ? i : *close;
        if (close == known.end()) known.push_back(i);
    }
    return representative;
}

std::vector<float> searched_identities(std::span<Protein const> proteins, Database const& database, int threads) {
    auto const representative = representatives(proteins);
    std::vector<Protein> queries;
    std::vector<std::size_t> place(proteins.size());
    for (std::size_t i = 0; i < proteins.size(); ++i)
        if (representative[i] == i) place[i] = queries.size(), queries.push_back(proteins[i]);
    std::vector<float> closest(queries.size());
    SearchOptions const options{.rounds = 1,
                                .evalue = search_evalue,
                                .min_coverage = relative_coverage,
                                .max_hits = search_hits,
                                .threads = resolve_threads(threads)};
    search(database, queries, options, [&](std::size_t query, SearchResult&& result) {
        double const least = relative_coverage * static_cast<double>(queries[query].residues.size());
        for (auto const& hit : result.hits)
            if (hit.query_end - hit.query_begin >= least) closest[query] = std::max(closest[query], hit.identity);
    });
    std::vector<float> identities(proteins.size());
    for (std::size_t i = 0; i < proteins.size(); ++i) identities[i] = closest[place[representative[i]]];
    return identities;
}

#endif

} // namespace

std::vector<float> closest_identities(std::span<Protein const> proteins, std::span<Protein const> others, int threads) {
    auto identities = ungapped_identities(proteins, others, threads);
#ifdef TAPE_WITH_SEARCH
    std::vector<Protein> far;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < proteins.size(); ++i)
        if (identities[i] < least_ungapped) far.push_back(proteins[i]), places.push_back(i);
    if (far.empty() || others.empty()) return identities;
    DatabaseWriter writer;
    std::unordered_set<std::string_view> seen;
    for (auto const& other : others)
        if (!other.residues.empty() && seen.insert(other.residues).second)
            writer.add(other.id, {}, encode_residues(other.residues));
    TemporaryDirectory const folder;
    auto const file = folder.path() / "others.tdb";
    (void)writer.write(file);
    auto const searched = searched_identities(far, Database{file}, threads);
    for (std::size_t k = 0; k < far.size(); ++k)
        identities[places[k]] = searched[k]; // equal places without homology are chance
    return identities;
#else
    for (float& identity : identities)
        if (identity < 0.5F) identity = 0;
    return identities;
#endif
}

std::vector<float> closest_identities(std::span<Protein const> proteins, std::filesystem::path const& database,
                                      int threads) {
#ifdef TAPE_WITH_SEARCH
    return searched_identities(proteins, Database{database}, threads);
#else
    (void)proteins, (void)threads;
    throw usage_error{"cannot search " + database.string() +
                      ": this build has no database search (TAPE_WITH_SEARCH=OFF)"};
#endif
}

} // namespace tape
