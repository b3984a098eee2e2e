#pragma once

#include "align/database.hpp"
#include "align/msa.hpp"
#include "align/profile.hpp"
#include "align/scan_clusters.hpp"
#include "data/record.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

struct SearchOptions {
    int rounds = 3;                 ///< 1 = sequence search only
    double evalue = 1e-3;           ///< hits reported and aligned
    double inclusion_evalue = 2e-3; ///< hits that build the next round's profile; the default is PSI-BLAST's
    double min_coverage = 0.0;      ///< of the query, of an aligned row
    std::size_t max_hits = 10000;   ///< per query, best first
    bool alignments = true;         ///< off: no MSA rows, and hits beyond E = 10 without positions and identity
    /// Of the database: only the clusters of representatives that come near are scanned whole. Null: every target is.
    std::shared_ptr<ScanClusters const> clusters = nullptr;
    int threads = 1;
    bool quiet = true;
};

struct Hit {
    std::size_t target = 0; ///< index in the database
    double bits = 0, evalue = 0;
    int round = 1;                                                        ///< first round in which it was accepted
    float identity = 0;                                                   ///< of aligned residue pairs
    int query_begin = 0, query_end = 0, target_begin = 0, target_end = 0; ///< half-open
};

/// What one round changed, of the targets within the inclusion E-value.
struct SearchRound {
    std::size_t included = 0, added = 0, lost = 0; ///< targets; `added` and `lost` against the round before
    /// The query's own alignment with the round's model, end to end, in bits. A profile that drifts away from the query
    /// scores it lower than the round before did.
    double query_bits = 0;
};

struct SearchResult {
    std::vector<Hit> hits;           ///< by E-value, then bits, then target
    Msa msa;                         ///< query first, then the accepted hits in the order of `hits`
    std::vector<SearchRound> rounds; ///< as many as were run; none for an empty query
    bool converged = false;          ///< the last round run included the targets of the one before
};

/// Searches one query after another; each result is handed to `visit` in query order, as soon as it and all earlier
/// ones are done. Byte-identical for any number of threads.
void search(Database const& database, std::span<Protein const> queries, SearchOptions const& options,
            std::function<void(std::size_t query, SearchResult&&)> const& visit);

/// Identifies everything that decides a result: algorithm version, options, database. Part of cache keys.
std::string search_hash(Database const& database, SearchOptions const& options);

} // namespace tape
