#pragma once

#include <filesystem>

namespace tape {

/// Where fetched data and cached features live: $TAPE_CACHE, else $XDG_CACHE_HOME/tape, else ~/.cache/tape. Not
/// created.
/// @throws error if none of the three variables is set.
std::filesystem::path cache_directory();

} // namespace tape
