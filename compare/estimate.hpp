#pragma once

#include "compare/experiment.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tape {

/// What one source of features must do for one task.
struct SourceEstimate {
    std::string task, source;
    std::size_t proteins = 0; ///< of distinct sequence
    std::uint64_t residues = 0;
    double seconds = 0, bytes = 0;
};

/// Cost of a grid on two cores if nothing is in the cache: an order of magnitude from measured rates, not a promise.
struct Estimate {
    std::vector<SourceEstimate> features;
    std::size_t heads = 0; ///< to fit: arms x tasks x seeds, less those that one exact fit stands for
    double head_seconds = 0;
    [[nodiscard]] double seconds() const;
    [[nodiscard]] double bytes() const; ///< of the cache
};
Estimate estimate(Plan const& plan);

/// The grid and its estimate as printed by --dry-run.
std::string describe_estimate(Plan const& plan, Estimate const& estimate);

} // namespace tape
