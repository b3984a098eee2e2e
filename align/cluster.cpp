#include "align/cluster.hpp"

#include "align/gapped.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"

#include <seqan3/alphabet/aminoacid/aa10murphy.hpp>
#include <seqan3/search/views/kmer_hash.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <ranges>
#include <tuple>

namespace tape {
namespace {

constexpr int kmer_length = 9;
constexpr std::size_t kmers_kept = 20;
constexpr std::size_t centres_tried = 3;
constexpr int clustering_rounds = 3;

struct Kmer {
    std::uint64_t hash;
    std::uint32_t position;
    auto operator<=>(Kmer const&) const = default;
};

struct SharedKmer {
    std::uint64_t hash;
    std::uint32_t sequence, position;
};

struct Pair {
    std::uint32_t member, centre;
    std::int32_t diagonal; ///< position in the centre minus position in the member, of the first k-mer they share
    bool closest = false;  ///< of the member's centres, the one with most k-mers in common
    float identity = 0;    ///< 0 until both thresholds are met

    auto operator<=>(Pair const&) const = default;
};

std::uint64_t mixed(std::uint64_t value, std::uint64_t seed) { // splitmix64
    value += 0x9e3779b97f4a7c15ULL * (seed + 1);
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

seqan3::aa10murphy murphy(Residue code) {
    static auto const table = [] {
        std::array<seqan3::aa10murphy, 256> letters{};
        for (int c = 0; c < 256; ++c)
            letters[c] =
                seqan3::assign_char_to(residue_letter(static_cast<Residue>(std::min(c, 21))), seqan3::aa10murphy{});
        return letters;
    }();
    return table[code];
}

std::vector<Kmer> lowest_kmers(std::span<Residue const> residues, std::uint64_t seed) {
    std::vector<Kmer> hashes;
    if (residues.size() < kmer_length) return hashes;
    std::vector<seqan3::aa10murphy> letters(residues.size());
    std::ranges::transform(residues, letters.begin(), murphy);
    for (std::uint64_t const kmer : letters | seqan3::views::kmer_hash(seqan3::ungapped{kmer_length}))
        hashes.push_back({mixed(kmer, seed), static_cast<std::uint32_t>(hashes.size())});
    std::size_t const kept = std::min(kmers_kept, hashes.size());
    std::partial_sort(hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(kept), hashes.end());
    return {hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(kept)}; // a copy without the spare capacity
}

/// Every (member, centre) that shares a k-mer, the centre being the longest sequence that has it; at most
/// `centres_tried` a member, those sharing most k-mers first.
std::vector<Pair> candidate_pairs(Database const& database, std::vector<std::uint32_t> const& sequences,
                                  std::uint64_t seed, int threads) {
    std::vector<std::vector<Kmer>> kmers(sequences.size());
    parallel_for(sequences.size(), threads,
                 [&](std::size_t i, int) { kmers[i] = lowest_kmers(database.residues(sequences[i]), seed); });
    std::vector<SharedKmer> shared;
    for (std::size_t i = 0; i < sequences.size(); ++i)
        for (auto const& kmer : kmers[i]) shared.push_back({kmer.hash, sequences[i], kmer.position});
    kmers = {};
    // Sequences are sorted by length: the highest index is the longest.
    std::ranges::sort(shared, [](auto const& a, auto const& b) {
        return std::tuple{a.hash, b.sequence, a.position} < std::tuple{b.hash, a.sequence, b.position};
    });
    std::vector<Pair> found;
    for (std::size_t i = 0, centre = 0; i < shared.size(); ++i) {
        if (shared[i].hash != shared[centre].hash) centre = i;
        if (shared[i].sequence != shared[centre].sequence)
            found.push_back(
                {shared[i].sequence, shared[centre].sequence,
                 static_cast<std::int32_t>(shared[centre].position) - static_cast<std::int32_t>(shared[i].position)});
    }
    shared = {};
    std::ranges::sort(found);
    // Of each member, the centres with most k-mers in common on their first diagonal.
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < found.size();) {
        std::vector<std::pair<int, Pair>> centres; // minus the count, for ascending sort
        std::uint32_t const member = found[i].member;
        for (; i < found.size() && found[i].member == member; ++i) {
            if (centres.empty() || centres.back().second.centre != found[i].centre) centres.emplace_back(0, found[i]);
            --centres.back().first;
        }
        std::ranges::sort(centres);
        centres.front().second.closest = true;
        for (std::size_t c = 0; c < std::min(centres_tried, centres.size()); ++c) pairs.push_back(centres[c].second);
    }
    return pairs;
}

struct Similarity {
    double identity = 0, coverage = 0; ///< of aligned pairs; of the member
};

Similarity along_diagonal(std::span<Residue const> centre, std::span<Residue const> member, std::int32_t diagonal) {
    std::size_t const in_centre = static_cast<std::size_t>(std::max(0, diagonal)),
                      in_member = static_cast<std::size_t>(std::max(0, -diagonal));
    std::size_t const overlap = std::min(centre.size() - in_centre, member.size() - in_member);
    std::size_t equal = 0;
    for (std::size_t i = 0; i < overlap; ++i) equal += centre[in_centre + i] == member[in_member + i];
    return {double(equal) / double(overlap), double(overlap) / double(member.size())};
}

Similarity by_alignment(GappedAligner const& aligner, std::span<Residue const> centre, std::span<Residue const> member,
                        ClusterOptions const& options, GappedAligner::Workspace& workspace) {
    // Aligned pairs of this identity score about 5.5 half bits where equal and -1 where not; far less is not worth a
    // traceback.
    double const hopeful = 0.6 * (6.5 * options.identity - 1) * options.coverage * static_cast<double>(member.size());
    if (aligner.score(member, workspace) < hopeful) return {};
    auto const alignment = aligner.align(member, workspace);
    int i = alignment.query_begin, j = alignment.target_begin, pairs = 0, equal = 0;
    for (char const operation : alignment.operations) {
        if (operation == 'M') ++pairs, equal += centre[i] == member[j];
        i += operation != 'I', j += operation != 'D';
    }
    if (pairs == 0) return {};
    return {double(equal) / pairs, double(alignment.target_end - alignment.target_begin) / double(member.size())};
}

bool meets(Similarity const& similarity, ClusterOptions const& options) {
    return similarity.identity >= options.identity && similarity.coverage >= options.coverage;
}

/// Without gaps first, which settles most; then by local alignment with the closest centre for members that none took.
void compare_pairs(Database const& database, std::vector<Pair>& pairs, ClusterOptions const& options) {
    parallel_for(pairs.size(), options.threads, [&](std::size_t p, int) {
        auto const similarity =
            along_diagonal(database.residues(pairs[p].centre), database.residues(pairs[p].member), pairs[p].diagonal);
        if (meets(similarity, options)) pairs[p].identity = static_cast<float>(similarity.identity);
    });
    std::vector<bool> taken(database.size(), false);
    for (auto const& pair : pairs)
        if (pair.identity > 0) taken[pair.member] = true;
    // By centre, so that one striped centre serves all its members.
    std::ranges::sort(pairs, [](auto const& a, auto const& b) {
        return std::tuple{a.centre, a.member} < std::tuple{b.centre, b.member};
    });
    std::vector<std::size_t> starts;
    for (std::size_t i = 0; i < pairs.size(); ++i)
        if (i == 0 || pairs[i].centre != pairs[i - 1].centre) starts.push_back(i);
    starts.push_back(pairs.size());
    Progress progress{"comparing sequences", pairs.size(), "pairs", options.quiet};
    std::vector<GappedAligner::Workspace> workspaces(static_cast<std::size_t>(resolve_threads(options.threads)));
    parallel_for(starts.size() - 1, options.threads, [&](std::size_t s, int worker) {
        auto const centre = database.residues(pairs[starts[s]].centre);
        std::optional<GappedAligner> aligner;
        for (std::size_t p = starts[s]; p < starts[s + 1]; ++p) {
            if (taken[pairs[p].member] || !pairs[p].closest) continue;
            if (!aligner)
                aligner.emplace(
                    round_scores(sequence_scores(centre, {.composition_bias = false, .mask_low_complexity = false})));
            auto const similarity = by_alignment(*aligner, centre, database.residues(pairs[p].member), options,
                                                 workspaces[static_cast<std::size_t>(worker)]);
            if (meets(similarity, options)) pairs[p].identity = static_cast<float>(similarity.identity);
        }
        progress.advance(starts[s + 1] - starts[s]);
    });
}

/// Longest first, each joins the closest representative among its pairs.
void join(std::vector<Pair> pairs, Clustering& clustering) {
    std::erase_if(pairs, [](Pair const& pair) { return pair.identity == 0; });
    std::ranges::sort(pairs, [](auto const& a, auto const& b) {
        return std::tuple{a.member, a.identity, a.centre} > std::tuple{b.member, b.identity, b.centre};
    });
    for (auto const& pair : pairs) {
        bool const apart = clustering.representative[pair.member] == pair.member;
        if (apart && clustering.representative[pair.centre] == pair.centre) {
            clustering.representative[pair.member] = pair.centre;
            clustering.identity[pair.member] = pair.identity;
        }
    }
}

} // namespace

Clustering cluster_database(Database const& database, ClusterOptions const& options) {
    Clustering clustering{std::vector<std::uint32_t>(database.size()), std::vector<float>(database.size(), 1.0F)};
    auto& representative = clustering.representative;
    std::iota(representative.begin(), representative.end(), 0U);
    for (int round = 0; round < clustering_rounds; ++round) {
        std::vector<std::uint32_t> apart;
        for (std::uint32_t i = 0; i < representative.size(); ++i)
            if (representative[i] == i) apart.push_back(i);
        auto pairs = candidate_pairs(database, apart, static_cast<std::uint64_t>(round), options.threads);
        compare_pairs(database, pairs, options);
        join(std::move(pairs), clustering);
    }
    // A representative of an early round may have joined another later: follow the chain, longest first.
    for (std::size_t i = representative.size(); i-- > 0;) representative[i] = representative[representative[i]];
    return clustering;
}

} // namespace tape
