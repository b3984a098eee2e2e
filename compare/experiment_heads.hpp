#pragma once

#include "compare/experiment.hpp"
#include "compare/experiment_sources.hpp"
#include "compare/experiment_store.hpp"
#include "learn/heads.hpp"

namespace tape {

/// The features that the head of a task reads.
FeatureRequest request_of(TaskKind kind, JoinedFeatures const& features);

/// Fits the head of a task's kind and predicts its test proteins. Fills the predictions, the head's own words and, for
/// residue_pair with `keep_maps`, the full maps; times, sizes and evidence are the caller's.
StoredRun fit_head(TaskData const& data, JoinedFeatures const& features, ContactAtom atom, HeadOptions const& options,
                   bool keep_maps);

} // namespace tape
