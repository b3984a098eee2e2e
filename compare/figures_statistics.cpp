#include "compare/figures.hpp"

#include <algorithm>
#include <cmath>

namespace tape {

namespace {

constexpr double left = 40, top = 12, side = 220;
constexpr double least_share = 0.02; ///< of the answers, for the line

Arm const& arm_named(Result const& result, std::string const& name) {
    return *std::find_if(result.arms.begin(), result.arms.end(), [&](Arm const& arm) { return arm.name == name; });
}

void draw_axes(Svg& svg) {
    svg.rect(left, top, side, side, "panel");
    for (int step = 0; step <= 4; ++step) {
        double const at = side * step / 4;
        std::string const label = compact_number(step / 4.0);
        svg.line(left + at, top, left + at, top + side, "axis");
        svg.line(left, top + at, left + side, top + at, "axis");
        svg.text(left + at, top + side + 15, label, "small", "middle");
        svg.text(left - 6, top + side - at + 4, label, "small", "end");
    }
    svg.line(left, top + side, left + side, top, "zero");
    svg.text(left + side / 2, top + side + 32, "probability given", "small", "middle");
}

void draw_reliability(Svg& svg, Calibration const& calibration, Arm const& arm) {
    std::string const colour = std::to_string(arm_colour(arm));
    double all = 0;
    for (auto const& bin : calibration.bins) all += bin.answers;
    std::string line;
    for (auto const& bin : calibration.bins) {
        if (!(bin.answers > 0)) continue;
        double const x = left + side * bin.confidence, y = top + side * (1 - bin.accuracy);
        if (bin.answers >= least_share * all) // a line through a handful of answers would draw chance
            line += (line.empty() ? "M" : "L") + compact_number(x) + " " + compact_number(y);
        // Area by the share of the answers, so that a far-off dot of few answers looks like what it is.
        svg.circle(x, y, 2 + 7 * std::sqrt(bin.answers / all),
                   role_of(arm) == ArmRole::random_model ? "open a" + colour : "dim f" + colour,
                   arm.name + ": " + fixed_number(bin.confidence, 2) + " said, " + fixed_number(bin.accuracy, 2) +
                       " right, " + compact_number(bin.answers, 0) + " answers");
    }
    svg.path(line, "series a" + colour);
}

} // namespace

Figure calibration_figure(Result const& result, Analysis const& analysis) {
    Figure figure{
        .id = "calibration",
        .title = "Do the probabilities mean what they say?",
        .caption = "Share of right answers (vertical) against the probability the head gave them, in ten bins of equal "
                   "width; the area of a dot is the share of the answers, and the line passes those of at least 2% of "
                   "them. On the diagonal a head is calibrated, below it "
                   "overconfident. Answers are residues, proteins, or the listed pairs of a contact map.",
        .legend = {},
        .tsv = "task\tarm\tbin_low\tbin_high\tanswers\tprobability\taccuracy\n",
        .panels = {}};
    for (auto const& arm : result.arms) figure.legend += arm_label(result, arm.name) + " ";
    auto const number = [](double value) { return std::isnan(value) ? std::string{} : fixed_number(value, 6); };
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t].task;
        if (analysis.tasks[t].calibrations.empty()) continue;
        Svg svg{left + side + 12, top + side + 40, task.title + ": reliability",
                "Accuracy against probability, one line an arm; the diagonal is perfect calibration."};
        draw_axes(svg);
        for (auto const& calibration : analysis.tasks[t].calibrations) {
            draw_reliability(svg, calibration, arm_named(result, calibration.arm));
            for (auto const& bin : calibration.bins)
                figure.tsv += task.name + "\t" + calibration.arm + "\t" + compact_number(bin.low, 1) + "\t" +
                              compact_number(bin.high, 1) + "\t" + compact_number(bin.answers, 3) + "\t" +
                              number(bin.confidence) + "\t" + number(bin.accuracy) + "\n";
        }
        figure.panels.push_back({task.title, std::move(svg)});
    }
    return figure;
}

} // namespace tape
