#pragma once

#include "align/database.hpp"
#include "align/gapped.hpp"
#include "align/position_scores.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace tape {

/// Those of `targets` (ascending) whose Smith-Waterman score reaches `threshold(target length)` half bits (positive,
/// non-decreasing), ascending: the filter between the ungapped scan and Forward.
///
/// Each target has its own byte lane, and query positions are the outer loop, so no step crosses lanes. Cells hold
/// score - 128 in saturating arithmetic: the floor of the local score comes for free, and the sign bit says that the
/// threshold is reached. Every 64 targets have a scale of their own, at which the shortest one's threshold is 128; gap
/// costs are rounded down, so a target a little below may pass. O(L n / lanes) time, O(n lanes) memory.
std::vector<std::uint32_t> gapped_above(PositionScores const& query, Database const& database,
                                        std::span<std::uint32_t const> targets,
                                        std::function<double(double)> const& threshold, int threads = 1,
                                        GapCosts gaps = {});

} // namespace tape
