#pragma once

#include <string>

namespace tape {

/// A protein as read from a file: `residues` in one-letter code, upper case, without gaps.
struct Protein {
    std::string id;          ///< first word of the header
    std::string description; ///< rest of the header
    std::string residues;

    bool operator==(Protein const&) const = default;
};

} // namespace tape
