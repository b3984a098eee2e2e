#pragma once

#include "compare/analysis.hpp"

#include <string>
#include <vector>

namespace tape {

/// Groups of an ordered grouping where a gap's interval lies above zero, and where below.
struct Crossover {
    std::vector<std::size_t> ahead, behind; ///< indices of groups
    std::size_t groups = 0;
    /// Both signs are seen: somewhere between them the two arms cross.
    [[nodiscard]] bool seen() const { return !ahead.empty() && !behind.empty(); }
};
Crossover find_crossover(GroupedEstimates const& grouping, std::size_t gap);

/// "alignment depth" for "depth": what a grouping goes by, in words.
std::string attribute_text(std::string const& attribute);

/// Whether a crossover is seen anywhere, in one sentence; empty without groupings of a language model and an alignment.
std::string crossover_headline(Result const& result, Analysis const& analysis);

/// A sentence a task: for each grouping with groups in order where the language model overtakes the alignment or that
/// no crossover is seen, and where the union adds to its better part. Intervals of groups are 95% each, not corrected
/// for their number.
std::vector<std::string> crossover_sentences(Result const& result, Analysis const& analysis);

} // namespace tape
