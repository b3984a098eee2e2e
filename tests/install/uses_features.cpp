#include "features/alignment_features.hpp"

#include <algorithm>

bool uses_features() {
    tape::Msa msa;
    msa.rows.push_back({"query", "", tape::encode_residues("ACDEF"), ""});
    auto const features = tape::alignment_features(msa, {});
    auto const found = std::ranges::find(features, "frequencies", [](auto const& named) { return named.first; });
    return found != features.end() && found->second.shape == std::vector<std::size_t>{5, 20};
}
