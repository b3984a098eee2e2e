#pragma once

#include <filesystem>

namespace tape {

/// A database to search: a .tdb file is itself; anything else is taken for FASTA, from which a database is made once
/// and kept under `cache`/databases, by content.
/// Says so on stderr unless `quiet`.
/// @throws data_error if the file is missing or damaged; usage_error in a build without search
std::filesystem::path searchable_database(std::filesystem::path const& file, std::filesystem::path const& cache,
                                          bool quiet = false);

} // namespace tape
