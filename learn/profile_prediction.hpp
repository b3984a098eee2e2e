#pragma once

#include "learn/aligned_segments.hpp"
#include "learn/objective.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tape {

/// Column frequencies of the alignments of many proteins, found by sequence. 40 bytes a residue of a query, 5 of a
/// homolog.
class ProfileTargets {
  public:
    /// Reads every *.features.npz of a folder that `tape-msa` wrote: the frequencies with pseudocounts. Of two files of
    /// one protein the first by name counts. Where the alignment itself (*.a3m) lies beside them, the columns are also
    /// the targets of its homologs, each in the alignment whose query it shares most residues with: one search answers
    /// for a whole family. @throws data_error naming the file and array that is missing, misshaped or no distribution,
    /// or a folder without such files
    explicit ProfileTargets(std::filesystem::path const& folder);

    struct Column {
        bool known = false; ///< whether any row but the query has a residue there
        std::array<float, 20> frequencies{};
    };
    /// Whether the protein, or a part of it, has a profile with any known column.
    [[nodiscard]] bool has(std::string_view protein) const;
    /// Columns [begin, begin + count) of its profile; none if it has no profile.
    [[nodiscard]] std::vector<Column> columns(std::string_view protein, std::size_t begin, std::size_t count) const;

    [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
    [[nodiscard]] std::size_t known_columns() const noexcept { return known_columns_; }
    [[nodiscard]] std::size_t homologs() const noexcept { return homologs_.size(); }
    [[nodiscard]] std::string const& hash() const noexcept { return hash_; } ///< of all values

  private:
    /// @returns the first column of this file's query in columns_, or none if no homolog covers any
    std::optional<std::size_t> add(std::filesystem::path const& file);
    void add_homologs(std::vector<std::pair<std::filesystem::path, std::size_t>> const& alignments);

    std::unordered_map<std::string, std::size_t> places_; ///< residues' hash -> first column
    AlignedSegments homologs_;                            ///< their columns are places of columns_
    std::vector<std::array<std::uint16_t, 20>> columns_;  ///< frequencies in units of 1/65535; all 0: not known
    std::size_t known_columns_ = 0;
    std::string hash_;
};

/// At every residue, from the sequence alone, the residue frequencies of its column in an alignment of homologs
/// (Sturmfels et al., arXiv:2012.00195, 2020). Columns in which the query stands alone are not asked for.
class ProfilePrediction : public Objective {
  public:
    explicit ProfilePrediction(std::shared_ptr<ProfileTargets const> targets) : targets_{std::move(targets)} {}
    [[nodiscard]] std::string description() const override;
    [[nodiscard]] bool knows(std::string_view protein) const override { return targets_->has(protein); }
    void pose(Window const& window, Random& random, Exercise& example) const override;

  private:
    std::shared_ptr<ProfileTargets const> targets_;
};

} // namespace tape
