#include "learn/test_relatives.hpp"

#include "data/error.hpp"

#ifdef TAPE_WITH_SEARCH
#include "align/cluster.hpp"
#include "align/database.hpp"
#include "align/search.hpp"
#include "data/alphabet.hpp"
#include "data/dataset.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "data/shared_queue.hpp"
#include "data/temporary.hpp"

#include <chrono>
#include <cstdio>
#include <limits>
#include <map>
#include <sstream>
#include <thread>
#include <vector>
#endif

namespace tape {

#ifdef TAPE_WITH_SEARCH

namespace {

constexpr double same_identity = 0.9, same_coverage = 0.9; ///< of test proteins that one of them stands for
constexpr double search_evalue = 1;

/// Test proteins of all bundled tasks, one of each kind.
std::vector<Protein> test_proteins(std::filesystem::path const& scratch, int threads) {
    DatabaseWriter writer;
    for (auto const& task : bundled_tasks())
        for (auto const& example : load_split(task, task.test).examples)
            writer.add(task.name + "/" + example.protein.id, "", encode_residues(example.protein.residues));
    (void)writer.write(scratch / "tests.tdb");
    Database const tests{scratch / "tests.tdb"};
    auto const clusters =
        cluster_database(tests, {.identity = same_identity, .coverage = same_coverage, .threads = threads});
    std::vector<Protein> proteins;
    for (std::size_t i = 0; i < tests.size(); ++i) {
        if (clusters.representative[i] != i) continue;
        auto const codes = tests.residues(i);
        proteins.push_back({std::string{tests.id(i)}, "", decode_residues({codes.begin(), codes.end()})});
    }
    return proteins;
}

SearchOptions search_options(int threads, bool quiet) {
    return {.rounds = 1,
            .evalue = search_evalue,
            .max_hits = std::numeric_limits<std::size_t>::max(),
            .alignments = false,
            .threads = threads,
            .quiet = quiet};
}

bool is_relative(Hit const& hit, std::size_t query_length, std::size_t target_length) {
    auto const aligned =
        query_length <= target_length ? hit.query_end - hit.query_begin : hit.target_end - hit.target_begin;
    auto const shorter = static_cast<double>(std::min(query_length, target_length));
    return hit.identity >= excluded_identity && aligned >= excluded_coverage * shorter;
}

/// Adds what is found in one database: residues -> record.
void collect(Database const& database, std::vector<Protein> const& tests, SearchOptions const& options,
             std::map<std::string, Protein>& relatives) {
    search(database, tests, options, [&](std::size_t query, SearchResult&& result) {
        for (auto const& hit : result.hits) {
            auto const codes = database.residues(hit.target);
            if (!is_relative(hit, tests[query].residues.size(), codes.size())) continue;
            std::string residues = decode_residues({codes.begin(), codes.end()});
            char why[64];
            std::snprintf(why, sizeof why, " identity %.2f E %.2g", static_cast<double>(hit.identity), hit.evalue);
            relatives.try_emplace(residues,
                                  Protein{std::string{database.id(hit.target)}, tests[query].id + why, residues});
        }
    });
}

/// Everything that decides what is found.
std::string key_of(std::span<std::filesystem::path const> corpus) {
    std::string all = "test-relatives-1";
    for (auto const& file : corpus) all += content_hash_of_file(file);
    for (auto const& task : bundled_tasks()) all += content_hash_of_file(file_of_split(task, task.test));
    return content_hash(all).substr(0, 16);
}

} // namespace

std::filesystem::path find_test_relatives(std::span<std::filesystem::path const> corpus,
                                          std::filesystem::path const& folder, int threads, bool quiet) {
    OutputFolder const kept{folder};
    auto const file = folder / (std::string{test_relatives_name} + key_of(corpus) + ".fasta");
    if (launched_rank().rank != 0)
        while (!std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::seconds{1});
    if (std::filesystem::exists(file)) return file;
    TemporaryDirectory const scratch;
    threads = resolve_threads(threads);
    auto const tests = test_proteins(scratch.path(), threads);
    if (!quiet)
        std::fprintf(stderr, "searching the corpus for relatives of %zu test proteins, once for %s\n", tests.size(),
                     file.c_str());
    std::map<std::string, Protein> relatives;
    for (auto const& path : corpus) {
        auto database = path;
        if (path.extension() != ".tdb") {
            database = scratch.path() / "corpus.tdb";
            (void)build_database(path, database, {.threads = threads, .quiet = true});
        }
        collect(Database{database}, tests, search_options(threads, quiet), relatives);
    }
    std::vector<Protein> found;
    for (auto const& [residues, protein] : relatives) found.push_back(protein);
    std::ostringstream text;
    write_fasta(text, found);
    write_text(file, text.str());
    return file;
}

#else

std::filesystem::path find_test_relatives(std::span<std::filesystem::path const>, std::filesystem::path const&, int,
                                          bool) {
    throw usage_error{"this build has no database search: --exclude-relatives needs one with TAPE_WITH_SEARCH"};
}

#endif

} // namespace tape
