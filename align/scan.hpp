#pragma once

#include "align/database.hpp"
#include "align/position_scores.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// Highest ungapped score of a query against each target over all diagonals, in [0, 255] (255 = or more).
///
/// One vector holds as many query positions as there are byte lanes; a target residue costs a saturating subtraction
/// and a minimum per vector: with cells kept as 127 - score, saturation is the zero floor of the local score (the idea
/// behind HMMER3's SSV filter, Eddy, PLoS Comput Biol 7:e1002195, 2011). O(L n / lanes). Target code chosen at run time
/// by Highway.
std::vector<std::uint8_t> ungapped_scores(IntegerScores const& query, Database const& database, int threads = 1);

/// The same for some targets, in the order given.
std::vector<std::uint8_t> ungapped_scores(IntegerScores const& query, Database const& database,
                                          std::span<std::uint32_t const> targets, int threads = 1);

/// Indices, ascending, of the targets whose ungapped score reaches `threshold(target length)` half bits (positive,
/// non-decreasing).
///
/// Neighbouring targets have about the same length, so each chunk of them gets its own table, scaled for its threshold
/// to fall on the sign bit: the running minimum becomes half an OR, and the scan nearly twice as fast as
/// `ungapped_scores`. Scores are rounded at that finer scale, so a target within a unit of the threshold may differ
/// from `ungapped_scores`.
std::vector<std::uint32_t> scan_above(PositionScores const& query, Database const& database,
                                      std::function<double(double)> const& threshold, int threads = 1);

/// The same among some targets, in an order of lengths: places in `targets`, ascending.
std::vector<std::uint32_t> scan_above(PositionScores const& query, Database const& database,
                                      std::span<std::uint32_t const> targets,
                                      std::function<double(double)> const& threshold, int threads = 1);

/// Plain loop over all diagonals; the oracle of the above. Not capped.
int ungapped_score_reference(IntegerScores const& query, std::span<Residue const> target);

/// Name of the SIMD target in use ("AVX3_DL", "AVX2", "NEON", ...), for manifests and tests.
std::string simd_target();

} // namespace tape
