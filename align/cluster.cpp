#include "align/cluster.hpp"

#include "align/gapped.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <ranges>
#include <seqan3/alphabet/aminoacid/aa10murphy.hpp>
#include <seqan3/search/views/kmer_hash.hpp>

namespace tape {
namespace {

constexpr int kmer_length = 9;
constexpr std::size_t kmers_kept = 20;
constexpr std::size_t centres_tried = 3;
constexpr int clustering_rounds = 3;

struct SharedKmer {
    std::uint64_t hash;
    std::uint32_t sequence;
};

struct Pair {
    std::uint32_t member, centre;
    float identity = 0; ///< 0 until both thresholds are met
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
        for (int c = 0; c < 256; ++c) letters[c] = seqan3::assign_char_to(residue_letter(static_cast<Residue>(std::min(c, 21))), seqan3::aa10murphy{});
        return letters;
    }();
    return table[code];
}

std::vector<std::uint64_t> lowest_kmers(std::span<Residue const> residues, std::uint64_t seed) {
    std::vector<std::uint64_t> hashes;
    if (residues.size() < kmer_length) return hashes;
    std::vector<seqan3::aa10murphy> letters(residues.size());
    std::ranges::transform(residues, letters.begin(), murphy);
    for (std::uint64_t const kmer : letters | seqan3::views::kmer_hash(seqan3::ungapped{kmer_length})) hashes.push_back(mixed(kmer, seed));
    std::size_t const kept = std::min(kmers_kept, hashes.size());
    std::partial_sort(hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(kept), hashes.end());
    hashes.resize(kept);
    return hashes;
}

/// Every (member, centre) that shares a k-mer, the centre being the longest sequence that has it; at most `centres_tried` a
/// member, those sharing most k-mers first.
std::vector<Pair> candidate_pairs(Database const& database, std::vector<std::uint32_t> const& sequences, std::uint64_t seed, int threads) {
    std::vector<std::vector<std::uint64_t>> kmers(sequences.size());
    parallel_for(sequences.size(), threads, [&](std::size_t i, int) { kmers[i] = lowest_kmers(database.residues(sequences[i]), seed); });
    std::vector<SharedKmer> shared;
    for (std::size_t i = 0; i < sequences.size(); ++i)
        for (auto const hash : kmers[i]) shared.push_back({hash, sequences[i]});
    kmers = {};
    // Sequences are sorted by length: the highest index is the longest.
    std::ranges::sort(shared, [](auto const& a, auto const& b) { return a.hash != b.hash ? a.hash < b.hash : a.sequence > b.sequence; });
    std::vector<std::pair<std::uint32_t, std::uint32_t>> found;
    for (std::size_t i = 0, centre = 0; i < shared.size(); ++i) {
        if (shared[i].hash != shared[centre].hash) centre = i;
        if (shared[i].sequence != shared[centre].sequence) found.emplace_back(shared[i].sequence, shared[centre].sequence);
    }
    shared = {};
    std::ranges::sort(found);
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < found.size();) {
        std::vector<std::pair<int, std::uint32_t>> centres; // minus the count, for ascending sort
        std::uint32_t const member = found[i].first;
        for (; i < found.size() && found[i].first == member; ++i) {
            if (centres.empty() || centres.back().second != found[i].second) centres.emplace_back(0, found[i].second);
            --centres.back().first;
        }
        std::ranges::sort(centres);
        for (std::size_t c = 0; c < std::min(centres_tried, centres.size()); ++c) pairs.push_back({member, centres[c].second});
    }
    return pairs;
}

float identity_of(Alignment const& alignment, std::span<Residue const> query, std::span<Residue const> target) {
    int i = alignment.query_begin, j = alignment.target_begin, pairs = 0, equal = 0;
    for (char const operation : alignment.operations) {
        if (operation == 'M') ++pairs, equal += query[i] == target[j];
        i += operation != 'I', j += operation != 'D';
    }
    return pairs == 0 ? 0.0F : static_cast<float>(equal) / static_cast<float>(pairs);
}

void compare_pairs(Database const& database, std::vector<Pair>& pairs, ClusterOptions const& options) {
    // By centre, so that one striped centre serves all its members.
    std::ranges::sort(pairs, [](auto const& a, auto const& b) { return a.centre != b.centre ? a.centre < b.centre : a.member < b.member; });
    std::vector<std::size_t> starts;
    for (std::size_t i = 0; i < pairs.size(); ++i)
        if (i == 0 || pairs[i].centre != pairs[i - 1].centre) starts.push_back(i);
    starts.push_back(pairs.size());
    Progress progress{"comparing sequences", pairs.size(), "pairs", options.quiet};
    std::vector<GappedAligner::Workspace> workspaces(static_cast<std::size_t>(resolve_threads(options.threads)));
    parallel_for(starts.size() - 1, options.threads, [&](std::size_t s, int worker) {
        auto const centre = database.residues(pairs[starts[s]].centre);
        GappedAligner const aligner{round_scores(sequence_scores(centre, {.composition_bias = false, .mask_low_complexity = false}))};
        for (std::size_t p = starts[s]; p < starts[s + 1]; ++p) {
            auto const member = database.residues(pairs[p].member);
            auto const alignment = aligner.align(member, workspaces[static_cast<std::size_t>(worker)]);
            double const coverage = double(alignment.target_end - alignment.target_begin) / double(member.size());
            float const identity = identity_of(alignment, centre, member);
            if (coverage >= options.coverage && identity >= static_cast<float>(options.identity)) pairs[p].identity = identity;
        }
        progress.advance(starts[s + 1] - starts[s]);
    });
}

/// Longest first, each joins the closest representative among its pairs.
void join(std::vector<Pair> pairs, Clustering& clustering) {
    std::erase_if(pairs, [](Pair const& pair) { return pair.identity == 0; });
    std::ranges::sort(pairs, [](auto const& a, auto const& b) {
        if (a.member != b.member) return a.member > b.member;
        return a.identity != b.identity ? a.identity > b.identity : a.centre > b.centre;
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
