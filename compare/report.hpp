#pragma once

#include "compare/analysis.hpp"

#include <filesystem>
#include <string>

namespace tape {

/// The report as one HTML page: verdict, tables, figures, details, methods, provenance. Needs no network and no
/// scripting; drawings, style and downloads are inside. Well-formed XML after the doctype.
std::string report_html(Result const& result, Analysis const& analysis);

void write_report(std::filesystem::path const& file, Result const& result, Analysis const& analysis);

/// Writes result.json, table.tsv and report.html into an existing folder, and prints summary_text on stdout.
void write_outputs(std::filesystem::path const& directory, Result const& result, ResamplingOptions const& options = {});

} // namespace tape
