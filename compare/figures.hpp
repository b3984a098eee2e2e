#pragma once

#include "compare/analysis.hpp"
#include "compare/svg.hpp"

#include <string>
#include <vector>

namespace tape {

/// One drawing of a figure.
struct Panel {
    std::string heading; ///< plain text above it
    Svg drawing;
};

/// A figure of the report: drawings side by side, what they show, and the numbers behind them.
struct Figure {
    std::string id; ///< "summary", "differences", "crossover", "groups", "calibration", "contacts", "tsne", ...
    std::string title;
    std::string caption; ///< HTML
    std::string legend;  ///< HTML, may be empty
    std::string tsv;     ///< header line and rows
    std::vector<Panel> panels;
    bool wide = false; ///< panels scroll sideways on narrow screens instead of wrapping
};

/// Every figure the result has data for, in the order of the report.
std::vector<Figure> make_figures(Result const& result, Analysis const& analysis);

Figure summary_figure(Result const& result, Analysis const& analysis);
Figure difference_figure(Result const& result, Analysis const& analysis);
/// Where the language model overtakes the alignment and what the union adds: paired differences within groups.
Figure crossover_figure(Result const& result, Analysis const& analysis);
Figure group_figure(Result const& result, Analysis const& analysis);
Figure calibration_figure(Result const& result, Analysis const& analysis);
Figure contact_figure(Result const& result);
Figure tsne_figure(Result const& result);
Figure mutation_figure(Result const& result);
Figure entropy_figure(Result const& result);
Figure alignment_figure(Result const& result);

/// Index 0-9 of an arm's colour (CSS --a0 ... --a9): by what it reads, so that it is the same in every report.
int arm_colour(Arm const& arm);
/// The arm's colour and name as HTML: <span class="arm">.
std::string arm_label(Result const& result, std::string const& arm);

/// "a versus b" questions in words: "alignment against language model".
std::string question_text(Question question);

} // namespace tape
