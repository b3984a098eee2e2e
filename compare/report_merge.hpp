#pragma once

#include "compare/result.hpp"

#include <string>
#include <vector>

namespace tape {

/// Puts several runs side by side: every arm becomes "NAME [LABEL]". Runs of a task are joined when their test examples
/// are identical (ids, sequences, truth and masks), so that differences between runs can be paired; otherwise the later
/// run's task stands alone under "TITLE, LABEL" with a note. Contact maps and embeddings are kept from all runs,
/// positions from the first that has them, the manifest from the first; the notes list each run's program, preset and
/// time.
/// @throws usage_error if labels and results differ in number or a label occurs twice.
Result merge_results(std::vector<Result> results, std::vector<std::string> const& labels);

/// True if differences between runs over these two may be paired.
bool same_examples(TaskResult const& a, TaskResult const& b);

} // namespace tape
