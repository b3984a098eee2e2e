#pragma once

#include "compare/analysis.hpp"
#include "compare/figures.hpp"

#include <filesystem>
#include <string>

namespace tape {

/// The report as one HTML page: verdict, tables, figures, details, methods, provenance. Needs no network and no
/// scripting; drawings, style and downloads are inside. Well-formed XML after the doctype.
std::string report_html(Result const& result, Analysis const& analysis);

void write_report(std::filesystem::path const& file, Result const& result, Analysis const& analysis);

/// Every number of the report that is no prediction, as the text of statistics.json.
std::string statistics_json(Result const& result, Analysis const& analysis);

/// Each figure's data as ID.tsv and its drawings as ID-0.svg, ID-1.svg, ... into a folder, made where it is missing.
void write_figures(std::filesystem::path const& directory, std::vector<Figure> const& figures);

/// Writes into an existing folder and prints summary_text on stdout: result.json (see write_result), table.tsv
/// (metrics), statistics.json (every number but the predictions), report.html, figures/ (data and drawings).
void write_outputs(std::filesystem::path const& directory, Result const& result, ResamplingOptions const& options = {});

} // namespace tape
