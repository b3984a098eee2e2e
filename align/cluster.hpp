#pragma once

#include "align/database.hpp"

#include <cstdint>
#include <vector>

namespace tape {

struct ClusterOptions {
    double identity = 0.5; ///< of aligned residue pairs, at least
    double coverage = 0.8; ///< of the shorter sequence, at least
    int threads = 1;
    bool quiet = true;
};

struct Clustering {
    std::vector<std::uint32_t> representative; ///< of every sequence; its own index for a representative
    std::vector<float> identity;               ///< to the sequence it was joined to, 1 for a representative
};

/// Greedy clustering in linear time after Linclust (Steinegger & Soeding, Nat Commun 9:2542, 2018): sequences that
/// share one of their 20 lowest-hashed 9-mers of Murphy's ten-letter alphabet are compared with the longest of them,
/// without gaps and, where that does not settle it, by local alignment; longest first, each joins the closest
/// representative or becomes one. Three rounds with other hashes, each on what the round before left apart. O(N)
/// comparisons; the same result for any number of threads.
Clustering cluster_database(Database const& database, ClusterOptions const& options = {});

} // namespace tape
