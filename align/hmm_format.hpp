#pragma once

#include "align/profile_hmm.hpp"

#include <filesystem>
#include <iosfwd>
#include <string>

namespace tape {

/// Writes a HMMER3/f text file (HMMER User's Guide, "HMMER profile HMM files"), as hmmsearch and hmmscan read it.
///
/// Probabilities stand as natural -log to five decimals, 0 as '*'. The RF column holds the query's residues; CONS the
/// most probable residue, upper case from probability 0.5 on. STATS lines are written if `statistics` is set: hmmsearch
/// needs them. No date and no checksum, so that the same model is the same bytes.
void write_hmmer(std::ostream& out, ProfileHmm const& hmm);

/// Reads the first model of a HMMER3 text file (format a to f, amino alphabet). Residues are those of RF if it names
/// residues, else the consensus. Neff by column is not in the format.
/// @throws data_error with file:line for another format or alphabet, a missing or impossible value, distributions that
/// do
///         not sum to 1 within 1%, a file that ends before "//".
ProfileHmm read_hmmer(std::istream& in, std::string const& name);
ProfileHmm read_hmmer(std::filesystem::path const& file);

} // namespace tape
