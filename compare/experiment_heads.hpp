#pragma once

#include "compare/experiment.hpp"
#include "compare/experiment_sources.hpp"
#include "compare/experiment_store.hpp"
#include "learn/heads.hpp"

namespace tape {

/// The features that a head reads.
FeatureRequest request_of(HeadKind head, JoinedFeatures const& features);

/// Fits the head of a task and predicts its test proteins. Fills the predictions, the head's own words and, for
/// residue_pair with `keep_maps`, the full maps; times, sizes and evidence are the caller's.
StoredRun fit_head(TaskData const& data, JoinedFeatures const& features, ContactAtom atom, HeadOptions options,
                   bool keep_maps);

} // namespace tape
