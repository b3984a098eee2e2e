#pragma once

#include "data/record.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace tape {

/// Reader of BLAST protein databases, format version 4 (`makeblastdb -blastdb_version 4`, `formatdb`): NAME.pin
/// (offsets), NAME.psq (residues, one NCBIstdaa byte each), NAME.phr (headers, ASN.1 Blast-def-line-set in BER). A
/// NAME.pal alias file lists further volumes in its DBLIST line. Layout as in M. Farrar's "BLAST database format v4"
/// note, checked against `blastdbcmd`.
///
/// Calls `visit` for every sequence in database order. Id and description are what `blastdbcmd -outfmt "%a %t"` gives
/// (the first of merged identical entries); in a database built without parsed identifiers, where that is only an
/// ordinal number, they are the first word and the rest of the original header. Letters B, Z, X, U, O and J stay, a
/// last `*` is dropped, and
/// `*` elsewhere becomes X.
/// Memory: the files are mapped, nothing else grows. O(residues) time.
///
/// @param database  path without ending (as BLAST's -db), or the .pin or .pal file itself
/// @return          number of sequences visited
/// @throws data_error if a file is missing, of another version or type, truncated, or points outside itself
std::uint64_t for_each_blast_sequence(std::filesystem::path const& database,
                                      std::function<void(Protein&&)> const& visit);

/// Volumes behind a database name: paths without ending, in order.
std::vector<std::filesystem::path> blast_volumes(std::filesystem::path const& database);

} // namespace tape
