#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string_view>

namespace tape {

/// Reads a table of `tape-db cluster` (or MMseqs2): representative and member, tab-separated; further columns, empty
/// lines and those that begin with # are passed over.
/// @throws data_error naming file and line for a row of another shape
void read_cluster_table(
    std::filesystem::path const& file,
    std::function<void(std::size_t line, std::string_view representative, std::string_view member)> const& visit);

} // namespace tape
