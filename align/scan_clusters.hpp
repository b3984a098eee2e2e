#pragma once

#include "align/database.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// The clusters of a database, for searches that scan representatives and look into the clusters of those that come
/// near (`SearchOptions::clusters`): for many queries against a redundant database.
class ScanClusters {
  public:
    /// Reads a table of `tape-db cluster` (or MMseqs2): representative and member, tab-separated.
    /// @throws data_error naming file and line for a row of another shape, an id that the database does not have and a
    ///         sequence in two clusters; naming the sequence for one that is in none, or whose representative is in
    ///         another cluster
    ScanClusters(Database const& database, std::filesystem::path const& table);

    /// Indices in the database, ascending.
    [[nodiscard]] std::span<std::uint32_t const> representatives() const noexcept { return representatives_; }
    /// Of the k-th representative, itself among them, ascending.
    [[nodiscard]] std::span<std::uint32_t const> members(std::size_t k) const noexcept {
        return std::span{members_}.subspan(starts_[k], starts_[k + 1] - starts_[k]);
    }
    /// Of who is with whom; independent of the table's order and its other columns.
    [[nodiscard]] std::string const& content_hash() const noexcept { return hash_; }

  private:
    std::vector<std::uint32_t> representatives_, members_;
    std::vector<std::size_t> starts_; ///< in members_, one more than representatives
    std::string hash_;
};

} // namespace tape
