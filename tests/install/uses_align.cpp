#include "align/profile.hpp"

#include <cmath>

bool uses_align() {
    tape::Msa msa;
    msa.rows.push_back({"query", "", tape::encode_residues("ACDEF"), ""});
    msa.rows.push_back({"other", "", tape::encode_residues("ACDEY"), ""});
    return std::abs(tape::make_profile(msa).entropy.back() - std::log(2.0)) < 1e-5; // two residues, half each
}
