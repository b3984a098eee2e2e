#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"

#include <span>
#include <string>

namespace tape {

struct PageOptions {
    std::span<float const> couplings = {}; ///< L x L, symmetric, after average product correction; empty leaves it out
    std::string couplings_name = {};       ///< "mean-field direct couplings, ...", for the caption
    double neff = 0;                       ///< effective sequences at 80% identity; 0 leaves it out
};

/// One self-contained HTML page of an alignment: key figures, sequence logo, entropy and depth by column, every row
/// coloured by biophysical group (hydrophobic CAVLIMFW, charged DERK, polar STNQ), and the coupling map with its
/// strongest pairs (at least 6 residues apart).
///
/// Rows are packed once as text and only those in view are drawn, so that 10,000 rows scroll. Without scripts the page
/// shows the figures, the first rows and the strongest pairs. It asks the network for nothing (a content security
/// policy says so to the browser), follows the reader's light or dark setting, and scrolls wide things in boxes of
/// their own.
///
/// @throws tape::error if the couplings are not L x L
/// O(N L + L^2 log L).
std::string alignment_page(Msa const& msa, Profile const& profile, PageOptions const& options = {});

} // namespace tape
