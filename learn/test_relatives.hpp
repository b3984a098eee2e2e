#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace tape {

/// What makes a sequence a relative of a test protein: the search aligns them (one round, E <= 1), with this identity
/// of aligned pairs over this share of the shorter of the two.
inline constexpr double excluded_identity = 0.3, excluded_coverage = 0.8;
/// How the name of the file begins that `find_test_relatives` writes.
inline constexpr std::string_view test_relatives_name = "test_relatives.";

/// The sequences of a corpus that are relatives of a test protein of any bundled task, found by our own search, as
/// FASTA in `folder`. Test proteins that share 90% of their residues with a longer one over 90% of their length are
/// represented by it. The file is made once for a corpus; a relative's description names the test protein, identity and
/// E-value.
///
/// Of ranks the first searches and the others wait for the file.
/// @param corpus  FASTA or .tdb   @return the file; it may be empty
/// @throws usage_error in a build without the search
std::filesystem::path find_test_relatives(std::span<std::filesystem::path const> corpus,
                                          std::filesystem::path const& folder, int threads, bool quiet);

} // namespace tape
