#pragma once

#include "align/profile_hmm.hpp"

#include <filesystem>
#include <iosfwd>
#include <string>

namespace tape {

/// Writes an HH-suite profile (.hhm, "HHsearch 1.5"), as hhsearch, hhalign and hhblits read it.
///
/// Values are -1000 log2 p, 0 as '*'; Neff x 1000. HH-suite adds its own pseudocounts, so give it a model estimated
/// without priors (HmmOptions{.priors = false, .fragment_threshold = 1}). Insert emissions are not in the format.
void write_hhm(std::ostream& out, ProfileHmm const& hmm);

/// Reads the first profile of a .hhm file. `effective_sequences` is its NEFF, insert emissions are `hmmer_insertions`.
/// @throws data_error with file:line for another format, a missing or impossible value, distributions that do not sum
/// to
///         1 within 5% (values are rounded; HH-suite drops residues below a thousandth), a file that ends before "//".
ProfileHmm read_hhm(std::istream& in, std::string const& name);
ProfileHmm read_hhm(std::filesystem::path const& file);

} // namespace tape
