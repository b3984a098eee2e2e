#pragma once

#include "compare/analysis.hpp"
#include "compare/figures.hpp"

#include <string>

// Parts of the report's page, as HTML.
namespace tape {

std::string const& report_style(); ///< CSS of the page, without that of the drawings

std::string results_table(Result const& result, Analysis const& analysis);
std::string published_table(Result const& result);
std::string difference_table(Result const& result, Analysis const& analysis);
/// One <details> a task: further metrics, heads, evidence, proteins that set the arms apart, notes.
std::string task_details(Result const& result, Analysis const& analysis);
/// Where the arms cross, in sentences; empty if no grouping has an order.
std::string crossover_list(Result const& result, Analysis const& analysis);
std::string leak_table(Result const& result, Analysis const& analysis);        ///< empty without an audit
std::string leak_tsv(Result const& result, Analysis const& analysis);          ///< one line a task, set and arm
std::string calibration_table(Result const& result, Analysis const& analysis); ///< empty without classifiers
/// One <details> a showcase protein of the residue tasks: alignment, conservation, and what each arm got wrong.
std::string protein_details(Result const& result, Analysis const& analysis);
std::string figure_html(Figure const& figure);

std::string methods_section(Result const& result, Analysis const& analysis);
std::string provenance_section(Result const& result);
std::string citation_section();

/// "value <small>[low, high]</small>"
std::string interval_html(Interval const& interval);

} // namespace tape
