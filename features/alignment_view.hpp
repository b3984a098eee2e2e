#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"

#include <cstddef>
#include <string>

namespace tape {

struct ViewOptions {
    std::size_t columns = 60; ///< a block
    std::size_t rows = 20;    ///< shown; the rest is counted
    bool colour = false;      ///< ANSI colours by biophysical group
};

/// An alignment as people read it: blocks of columns with positions, a line of conservation digits (9 = one residue
/// type, 0 = entropy log 20, blank = mostly gaps), then the query and the first rows; '.' repeats the query's residue.
/// Insertions are left out.
std::string alignment_view(Msa const& msa, Profile const& profile, ViewOptions const& options = {});

} // namespace tape
