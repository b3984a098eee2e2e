#include "align/scan.hpp"

#include "data/parallel.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

// Scalable vectors cannot be held in arrays; those machines take the NEON path.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#define HWY_WANT_AVX3_DL 1
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/scan.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>
#include "align/simd.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {

using ByteTag = hn::ScalableTag<std::int8_t>;
using Bytes = hn::Vec<ByteTag>;
constexpr std::size_t byte_lanes = hn::MaxLanes(ByteTag{});

// What a kernel works on. `table`: 32 rows (residue codes) x vectors x lanes, striped: position i is lane i / vectors
// of vector i % vectors. A cell holds 127 - score.
struct Stripes {
    std::int8_t const* table;
    std::size_t vectors;
};

// Exact: the lowest cell. Otherwise: the sign bit says whether any score reached 128.
template <bool exact, int vectors> HWY_INLINE Bytes gather(Bytes found, Bytes const (&cells)[vectors]) {
    if constexpr (exact) {
        for (int v = 0; v < vectors; ++v) found = hn::Min(found, cells[v]);
    } else {
        for (int v = 0; v + 1 < vectors; v += 2) found = hn::Or3(found, cells[v], cells[v + 1]);
        if constexpr (vectors % 2 == 1) found = hn::Or(found, cells[vectors - 1]);
    }
    return found;
}

// `group` targets advance together from residue `begin` to `end`, all cells in registers: with few vectors a target,
// the lane shift's latency would otherwise bound the speed.
template <bool exact, int vectors, int group>
HWY_INLINE void advance(std::int8_t const* HWY_RESTRICT table, Residue const* const (&targets)[group],
                        std::size_t begin, std::size_t end, Bytes (&cells)[group][vectors], Bytes (&found)[group]) {
    ByteTag const d;
    Bytes const zero_score = hn::Set(d, std::int8_t{127});
    for (std::size_t t = begin; t < end; ++t)
        for (int g = 0; g < group; ++g) {
            std::int8_t const* const row = table + (targets[g][t] & 31U) * (vectors * byte_lanes);
            Bytes const wrapped = shift_in(d, cells[g][vectors - 1], zero_score);
            for (int v = vectors - 1; v > 0; --v)
                cells[g][v] = hn::SaturatedSub(cells[g][v - 1], hn::Load(d, row + v * byte_lanes));
            cells[g][0] = hn::SaturatedSub(wrapped, hn::Load(d, row));
            found[g] = gather<exact, vectors>(found[g], cells[g]);
        }
}

template <bool exact> HWY_INLINE std::uint8_t result_of(Bytes found) {
    ByteTag const d;
    if constexpr (exact) {
        alignas(64) std::int8_t lanes[byte_lanes];
        hn::Store(found, d, lanes);
        return static_cast<std::uint8_t>(127 - *std::min_element(lanes, lanes + byte_lanes));
    } else {
        return hn::AllFalse(d, hn::Lt(found, hn::Zero(d))) ? 0 : 1;
    }
}

template <bool exact, int vectors, int group>
HWY_INLINE void scan_group(std::int8_t const* table, std::span<Residue const> const* sequences, std::uint8_t* results) {
    ByteTag const d;
    Bytes cells[group][vectors];
    Bytes found[group];
    Residue const* targets[group];
    std::size_t common = sequences[0].size();
    for (int g = 0; g < group; ++g) {
        for (int v = 0; v < vectors; ++v) cells[g][v] = hn::Set(d, std::int8_t{127});
        found[g] = exact ? hn::Set(d, std::int8_t{127}) : hn::Zero(d);
        targets[g] = sequences[g].data();
        common = std::min(common, sequences[g].size());
    }
    advance<exact, vectors, group>(table, targets, 0, common, cells, found);
    for (int g = 0; g < group; ++g) {
        if constexpr (group > 1) {
            Bytes rest[1][vectors], rest_found[1] = {found[g]};
            for (int v = 0; v < vectors; ++v) rest[0][v] = cells[g][v];
            Residue const* const target[1] = {targets[g]};
            advance<exact, vectors, 1>(table, target, common, sequences[g].size(), rest, rest_found);
            found[g] = rest_found[0];
        }
        results[g] = result_of<exact>(found[g]);
    }
}

template <bool exact, int vectors>
void scan_fixed(Stripes stripes, std::span<std::span<Residue const> const> sequences, std::uint8_t* results) {
    constexpr int group = vectors == 1 ? 4 : vectors == 2 ? 2 : 1;
    std::size_t done = 0;
    for (; done + group <= sequences.size(); done += group)
        scan_group<exact, vectors, group>(stripes.table, sequences.data() + done, results + done);
    for (; done < sequences.size(); ++done)
        scan_group<exact, vectors, 1>(stripes.table, sequences.data() + done, results + done);
}

// Long queries: cells in memory, updated in place from the last vector down, several at a time.
template <bool exact>
void scan_long(Stripes stripes, std::span<std::span<Residue const> const> sequences, std::uint8_t* results) {
    ByteTag const d;
    std::size_t const vectors = stripes.vectors;
    constexpr std::size_t block = 5;
    Bytes const zero_score = hn::Set(d, std::int8_t{127});
    auto const cells = hwy::AllocateAligned<std::int8_t>(vectors * byte_lanes);
    for (std::size_t s = 0; s < sequences.size(); ++s) {
        for (std::size_t v = 0; v < vectors; ++v) hn::Store(zero_score, d, cells.get() + v * byte_lanes);
        Bytes found = exact ? zero_score : hn::Zero(d);
        for (Residue const residue : sequences[s]) {
            std::int8_t const* const row = stripes.table + (residue & 31U) * (vectors * byte_lanes);
            Bytes const wrapped = shift_in(d, hn::Load(d, cells.get() + (vectors - 1) * byte_lanes), zero_score);
            std::size_t v = vectors;
            for (; v > block; v -= block) {
                Bytes moved[block];
                for (std::size_t k = 0; k < block; ++k) {
                    std::size_t const at = (v - block + k) * byte_lanes;
                    moved[k] = hn::SaturatedSub(hn::Load(d, cells.get() + at - byte_lanes), hn::Load(d, row + at));
                }
                for (std::size_t k = 0; k < block; ++k)
                    hn::Store(moved[k], d, cells.get() + (v - block + k) * byte_lanes);
                found = gather<exact, static_cast<int>(block)>(found, moved);
            }
            for (--v; v > 0; --v) {
                Bytes const cell = hn::SaturatedSub(hn::Load(d, cells.get() + (v - 1) * byte_lanes),
                                                    hn::Load(d, row + v * byte_lanes));
                found = exact ? hn::Min(found, cell) : hn::Or(found, cell);
                hn::Store(cell, d, cells.get() + v * byte_lanes);
            }
            Bytes const cell = hn::SaturatedSub(wrapped, hn::Load(d, row));
            found = exact ? hn::Min(found, cell) : hn::Or(found, cell);
            hn::Store(cell, d, cells.get());
        }
        results[s] = result_of<exact>(found);
    }
}

template <bool exact>
void scan_stripes(Stripes stripes, std::span<std::span<Residue const> const> sequences, std::uint8_t* results) {
    // Beyond what the registers hold, cells live in memory.
    constexpr std::size_t registers = byte_lanes >= 64 ? 32 : 16;
    if constexpr (registers >= 32) {
        switch (stripes.vectors) {
        case 11:
            return scan_fixed<exact, 11>(stripes, sequences, results);
        case 12:
            return scan_fixed<exact, 12>(stripes, sequences, results);
        case 13:
            return scan_fixed<exact, 13>(stripes, sequences, results);
        case 14:
            return scan_fixed<exact, 14>(stripes, sequences, results);
        case 15:
            return scan_fixed<exact, 15>(stripes, sequences, results);
        case 16:
            return scan_fixed<exact, 16>(stripes, sequences, results);
        default:
            break;
        }
    }
    switch (stripes.vectors) {
    case 1:
        return scan_fixed<exact, 1>(stripes, sequences, results);
    case 2:
        return scan_fixed<exact, 2>(stripes, sequences, results);
    case 3:
        return scan_fixed<exact, 3>(stripes, sequences, results);
    case 4:
        return scan_fixed<exact, 4>(stripes, sequences, results);
    case 5:
        return scan_fixed<exact, 5>(stripes, sequences, results);
    case 6:
        return scan_fixed<exact, 6>(stripes, sequences, results);
    case 7:
        return scan_fixed<exact, 7>(stripes, sequences, results);
    case 8:
        return scan_fixed<exact, 8>(stripes, sequences, results);
    case 9:
        return scan_fixed<exact, 9>(stripes, sequences, results);
    case 10:
        return scan_fixed<exact, 10>(stripes, sequences, results);
    default:
        return scan_long<exact>(stripes, sequences, results);
    }
}

// Fills the striped table from `values` (positions x 32) and scans. Positions beyond the query cost the most a byte can
// hold, so nothing survives there.
void scan_sequences(std::int8_t const* values, std::size_t length, std::span<std::span<Residue const> const> sequences,
                    bool exact, std::uint8_t* results) {
    std::size_t const vectors = (length + byte_lanes - 1) / byte_lanes;
    std::size_t const row = vectors * byte_lanes;
    auto const table = hwy::AllocateAligned<std::int8_t>(32 * row);
    std::fill_n(table.get(), 32 * row, std::int8_t{-128});
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t code = 0; code < 32; ++code)
            table[code * row + (i % vectors) * byte_lanes + i / vectors] = values[i * 32 + code];
    Stripes const stripes{table.get(), vectors};
    exact ? scan_stripes<true>(stripes, sequences, results) : scan_stripes<false>(stripes, sequences, results);
}

char const* target_name() { return hwy::TargetName(HWY_TARGET); }

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(scan_sequences);
HWY_EXPORT(target_name);

// A chunk is small enough to balance threads and to keep lengths alike, large enough to repay its table.
constexpr std::uint64_t chunk_residues = 1 << 19;
constexpr std::size_t chunk_targets = 4096;

struct Chunk {
    std::size_t begin, end;
};

template <typename LengthOf> std::vector<Chunk> make_chunks(std::size_t count, LengthOf const& length_of) {
    std::vector<Chunk> chunks;
    for (std::size_t begin = 0; begin < count;) {
        std::size_t end = begin;
        std::uint64_t residues = 0;
        while (end < count && end - begin < chunk_targets && (end == begin || residues < chunk_residues))
            residues += length_of(end++);
        chunks.push_back({begin, end});
        begin = end;
    }
    return chunks;
}

template <typename TargetAt>
std::vector<std::uint8_t> exact_scores(IntegerScores const& query, std::size_t count, TargetAt const& target_at,
                                       int threads) {
    std::vector<std::uint8_t> scores(count, 0);
    if (query.length == 0) return scores;
    auto const chunks = make_chunks(count, [&](std::size_t i) { return target_at(i).size(); });
    parallel_for(chunks.size(), threads, [&](std::size_t c, int) {
        std::vector<std::span<Residue const>> sequences;
        for (std::size_t i = chunks[c].begin; i < chunks[c].end; ++i) sequences.push_back(target_at(i));
        HWY_DYNAMIC_DISPATCH(scan_sequences)
        (query.values.data(), static_cast<std::size_t>(query.length), sequences, true, scores.data() + chunks[c].begin);
    });
    return scores;
}

/// Indices, ascending, of those of `count` targets that reach the threshold.
template <typename TargetAt>
std::vector<std::uint32_t> reached_of(PositionScores const& query, std::size_t count, TargetAt const& target_at,
                                      std::function<double(double)> const& threshold, int threads) {
    if (query.length == 0) return {};
    auto const chunks = make_chunks(count, [&](std::size_t i) { return target_at(i).size(); });
    std::vector<std::vector<std::uint32_t>> found(chunks.size());
    parallel_for(chunks.size(), threads, [&](std::size_t c, int) {
        std::vector<std::span<Residue const>> sequences;
        std::size_t shortest = target_at(chunks[c].begin).size();
        for (std::size_t i = chunks[c].begin; i < chunks[c].end; ++i) {
            sequences.push_back(target_at(i));
            shortest = std::min(shortest, sequences.back().size());
        }
        auto const scaled = round_scores(query, 128 / threshold(static_cast<double>(shortest)));
        std::vector<std::uint8_t> reached(sequences.size());
        HWY_DYNAMIC_DISPATCH(scan_sequences)
        (scaled.values.data(), static_cast<std::size_t>(scaled.length), sequences, false, reached.data());
        for (std::size_t i = 0; i < reached.size(); ++i)
            if (reached[i]) found[c].push_back(static_cast<std::uint32_t>(chunks[c].begin + i));
    });
    std::vector<std::uint32_t> all;
    for (auto const& part : found) all.insert(all.end(), part.begin(), part.end());
    return all;
}

} // namespace

std::vector<std::uint8_t> ungapped_scores(IntegerScores const& query, Database const& database, int threads) {
    return exact_scores(
        query, database.size(), [&](std::size_t i) { return database.residues(i); }, threads);
}

std::vector<std::uint8_t> ungapped_scores(IntegerScores const& query, Database const& database,
                                          std::span<std::uint32_t const> targets, int threads) {
    return exact_scores(
        query, targets.size(), [&](std::size_t i) { return database.residues(targets[i]); }, threads);
}

std::vector<std::uint32_t> scan_above(PositionScores const& query, Database const& database,
                                      std::function<double(double)> const& threshold, int threads) {
    return reached_of(
        query, database.size(), [&](std::size_t i) { return database.residues(i); }, threshold, threads);
}

std::vector<std::uint32_t> scan_above(PositionScores const& query, Database const& database,
                                      std::span<std::uint32_t const> targets,
                                      std::function<double(double)> const& threshold, int threads) {
    return reached_of(
        query, targets.size(), [&](std::size_t i) { return database.residues(targets[i]); }, threshold, threads);
}

int ungapped_score_reference(IntegerScores const& query, std::span<Residue const> target) {
    int const rows = query.length, columns = static_cast<int>(target.size());
    int best = 0;
    for (int diagonal = -(rows - 1); diagonal < columns; ++diagonal) {
        int score = 0;
        for (int i = std::max(0, -diagonal); i < rows && i + diagonal < columns; ++i) {
            score = std::max(0, score + query.at(i, target[i + diagonal] & 31));
            best = std::max(best, score);
        }
    }
    return best;
}

std::string simd_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

} // namespace tape
#endif
