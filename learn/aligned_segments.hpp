#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tape {

/// Parts of proteins that were aligned to columns, found again by their residues in whichever protein contains them.
/// 5 bytes a residue.
class AlignedSegments {
  public:
    static constexpr std::uint32_t no_column = static_cast<std::uint32_t>(-1); ///< of a residue in an insertion
    /// Residues at the start of a segment by which it is looked up; shorter segments are not found.
    static constexpr std::size_t anchor_length = 12;

    /// @param residues  amino acids, upper case
    /// @param columns   of each residue
    void add(std::string_view residues, std::span<std::uint32_t const> columns);

    struct Found {
        std::size_t begin; ///< residue of the protein with which the segment begins
        std::span<std::uint32_t const> columns;
    };
    /// The segment that begins first in the protein; of several there, the longest. Nothing if it contains none.
    [[nodiscard]] std::optional<Found> find(std::string_view protein) const;

    [[nodiscard]] std::size_t size() const noexcept { return segments_.size(); }
    [[nodiscard]] std::string hash() const; ///< of residues and columns

  private:
    struct Segment {
        std::size_t begin, length; ///< of residues_ and columns_
    };
    std::string residues_;
    std::vector<std::uint32_t> columns_;
    std::vector<Segment> segments_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> by_anchor_;
};

} // namespace tape
