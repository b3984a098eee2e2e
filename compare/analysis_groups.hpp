#pragma once

#include "compare/analysis.hpp"

#include <array>
#include <span>
#include <string>
#include <vector>

// Parts of `analyse`: metrics of some of a task's examples.
namespace tape {

/// Rows of the chosen examples.
ScoreTable subset(ScoreTable const& table, std::span<std::size_t const> examples);

/// A metric within some examples: of every arm, and the paired difference of every pair of arms asked for.
struct SubsetEstimates {
    std::vector<Interval> arms, gaps;
};
/// @param pairs  indices of arms, a - b
SubsetEstimates estimate_subset(ScoreTable const& table, std::span<std::size_t const> examples,
                                std::span<std::array<std::size_t, 2> const> pairs, ResamplingOptions const& options);

/// The headline metric by depth, length, structural class, identity to training and mutations, where the task has them.
/// @param arms   the arms that ran, parallel to the table
std::vector<GroupedEstimates> group_examples(TaskResult const& task, std::span<Arm const> arms, ScoreTable const& table,
                                             std::span<std::array<std::size_t, 2> const> pairs,
                                             ResamplingOptions const& options);

/// Headline of every arm without the test proteins that have a relative, for each set that was searched.
std::vector<LeakAudit> audit_leaks(TaskResult const& task, ScoreTable const& table,
                                   std::span<std::array<std::size_t, 2> const> pairs, ResamplingOptions const& options);

/// All-alpha, all-beta, mixed or irregular by the share of helix and strand among the labelled residues, with the
/// bounds of Nakashima, Nishikawa & Ooi (J Biochem 99:153, 1986): 15% helix, 10% strand. Empty if the task has no such
/// states.
std::string structural_class(Task const& task, TestExample const& example);

} // namespace tape
