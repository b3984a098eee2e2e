#pragma once

#include "features/feature_source.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tape {

/// A sequence on the positions of another: as long as `reference`, with `-` where it has a deletion and without what it
/// has inserted. Deletion or insertion is one run, put where most residues agree, the first such place.
/// @return nothing if the lengths differ by more than a twentieth of the reference's
/// O(length)
std::optional<std::string> on_positions_of(std::string_view reference, std::string_view sequence);

/// Residues at their positions, for variants of one protein: a column for every pair of position and letter that some
/// but not all of the given sequences show. Linear regression on these columns is the additive model of mutation
/// effects.
class PositionalEncoding {
  public:
    /// @param reference  the positions are its own
    /// @param sequences  that have a place on them
    PositionalEncoding(std::string_view reference, std::span<std::string_view const> sequences);
    [[nodiscard]] int width() const { return static_cast<int>(columns_.size()); }
    /// N x width of zeros and ones; pairs without a column leave no trace.
    /// @throws data_error for a sequence that has no place on the reference
    [[nodiscard]] FeatureMatrix operator()(std::span<std::string_view const> sequences) const;

  private:
    [[nodiscard]] std::string placed(std::string_view sequence) const;

    std::string reference_;
    std::map<std::pair<std::size_t, char>, Eigen::Index> columns_;
};

/// The first sequence of the commonest length, if all others are variants of it: with a place on its positions, and on
/// average at least 80% alike.
std::optional<std::string_view> reference_of_variants(std::span<std::string_view const> sequences);

} // namespace tape
