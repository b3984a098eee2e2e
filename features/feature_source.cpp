#include "features/feature_source.hpp"

#include "data/hash.hpp"

namespace tape {

std::string FeatureSource::key(Protein const& protein) const { return tape::content_hash(protein.residues); }

void FeatureSource::prepare(std::span<Protein const>) {}

} // namespace tape
