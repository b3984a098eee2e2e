#pragma once

#include "compare/experiment.hpp"

#include <cstdint>
#include <vector>

namespace tape {

/// L x L labels of an example: 1 contact, 0 none, -1 where a residue is unresolved. Every separation is labelled; which
/// ones count is the business of the head and of the metrics. O(L^2).
std::vector<std::int8_t> contact_labels(Example const& example, ContactAtom atom);

/// Contacts i < j, j - i >= minimum_separation, in row order.
std::vector<std::array<int, 2>> true_contacts(Example const& example, ContactAtom atom);

/// The L most probable pairs of each range of separation, [6,12), [12,24) and >= 24, best first; ties by position.
/// Probabilities are rounded as the JSON holds them before they are ranked.
/// @param probability  L x L, symmetric
std::vector<PairPrediction> top_pairs(FeatureMatrix const& probability);

} // namespace tape
