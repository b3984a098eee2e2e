#pragma once

#include "compare/analysis.hpp"

#include <string>
#include <vector>

namespace tape {

/// The answer in words, read off the statistics.
struct Verdict {
    std::string headline;               ///< one sentence: which side wins on how many tasks
    std::vector<std::string> sentences; ///< by how much, where the union helps, what pretraining adds
    std::vector<std::string> cautions;  ///< why a number may not mean what it seems to: preset, seeds, subsets, leaks
};

/// An arm is said to be better only where the Holm-corrected p is below 5% and the interval excludes zero; everything
/// else is "cannot be told apart".
Verdict make_verdict(Result const& result, Analysis const& analysis);

/// Table for the terminal: one line a task, one column an arm, "value [low, high]", the best marked with '*'; then the
/// verdict. Ends with a newline.
std::string summary_text(Result const& result, Analysis const& analysis);

/// One line a task, metric and arm: task, metric, arm, value, low, high, seeds, examples, train_size, head, published.
std::string summary_tsv(Result const& result, Analysis const& analysis);

/// Markdown table of the headline metrics: one line an arm, one column a task, "value [low, high], training size"; then
/// TAPE's published lines. For documents that are made again, never edited.
std::string summary_markdown(Result const& result, Analysis const& analysis);

/// A task's title without its metric, "Contacts", unless two tasks would share it.
std::string short_title(Result const& result, std::size_t task);

/// Arm with the best headline value of a task; none if none is defined.
std::string best_arm(TaskAnalysis const& task);

} // namespace tape
