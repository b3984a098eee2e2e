#pragma once

#include "data/record.hpp"

#include <filesystem>
#include <span>
#include <vector>

// The leak audit: how close test proteins are to what was learnt or read from.
namespace tape {

/// A relative counts if it aligns with at least this share of the test protein.
inline constexpr double relative_coverage = 0.8;

/// Identity of each protein with its closest relative among `others`, 0-1 of aligned pairs; 0 = none found.
///
/// Proteins of equal length are compared without gaps first; where that shows less than half, one round of our search
/// (E-value below 0.01, at least 80% of the protein aligned) looks for more. Proteins that differ from an earlier one
/// in at most max(4, 10% of L) places take its search result. Without search (TAPE_WITH_SEARCH=OFF) only the first is
/// done. The same for any number of threads.
std::vector<float> closest_identities(std::span<Protein const> proteins, std::span<Protein const> others, int threads);

/// The same against a database (.tdb), by search alone.
/// @throws usage_error in a build without search
std::vector<float> closest_identities(std::span<Protein const> proteins, std::filesystem::path const& database,
                                      int threads);

} // namespace tape
