#include "align/profile.hpp"

#include <cmath>
#include <cstdio>

int main() {
    tape::Msa msa;
    msa.rows.push_back({"query", "", tape::encode_residues("ACDEF"), ""});
    msa.rows.push_back({"other", "", tape::encode_residues("ACDEY"), ""});
    tape::Profile const profile = tape::make_profile(msa);
    std::printf("last column: %.3f nats\n", profile.entropy.back());
    return std::abs(profile.entropy.back() - std::log(2.0)) < 1e-5 ? 0 : 1;
}
