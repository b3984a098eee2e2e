#include "compare/crossover.hpp"
#include "compare/figures.hpp"

#include <algorithm>
#include <cmath>

namespace tape {

namespace {

/// One line of a group plot: an interval a group.
struct Series {
    std::string name;
    int colour = 0;
    bool open = false; ///< hollow marker: not pretrained
    int run = 0;       ///< of merged results: told apart by dashes
    std::vector<Interval> intervals;
};

struct GroupPlot {
    double left = 44, plot_width = 284, plot_height = 190, top = 22; // three side by side
    double low = 0, high = 1;
    std::size_t groups = 0;

    [[nodiscard]] double x_of(std::size_t group, double dodge) const {
        return left + plot_width * (static_cast<double>(group) + 0.5) / static_cast<double>(groups) + dodge;
    }
    [[nodiscard]] double y_of(double value) const { return top + plot_height * (high - value) / (high - low); }
    [[nodiscard]] double bottom() const { return top + plot_height; }

    void take_range(std::vector<Series> const& series, bool with_zero) {
        low = with_zero ? 0 : INFINITY, high = with_zero ? 0 : -INFINITY;
        for (auto const& one : series)
            for (auto const& interval : one.intervals)
                for (double const value : {interval.value, interval.low, interval.high})
                    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
        if (!(low <= high)) low = 0, high = 1;
        double const pad = std::max(0.06 * (high - low), 0.005);
        low -= pad, high += pad;
    }
};

void draw_series(Svg& svg, GroupPlot const& plot, GroupedEstimates const& grouping, Series const& series,
                 double dodge) {
    std::string line;
    std::string const stroke = "a" + std::to_string(series.colour), fill = "f" + std::to_string(series.colour);
    for (std::size_t g = 0; g < grouping.groups.size(); ++g) {
        auto const& interval = series.intervals[g];
        if (!std::isfinite(interval.value)) continue;
        double const x = plot.x_of(g, dodge), y = plot.y_of(interval.value);
        line += (line.empty() ? "M" : "L") + compact_number(x) + " " + compact_number(y);
        if (std::isfinite(interval.low))
            svg.line(x, plot.y_of(interval.low), x, plot.y_of(interval.high), "interval faint " + stroke);
        svg.circle(x, y, 3.6, series.open ? "open " + stroke : fill,
                   series.name + ", " + grouping.groups[g].label + ": " + fixed_number(interval.value) + " [" +
                       fixed_number(interval.low) + ", " + fixed_number(interval.high) + "]");
    }
    if (grouping.ordered)
        svg.path(line, "series " + stroke + (series.run > 0 ? " run" + std::to_string(std::min(series.run, 3)) : ""));
}

/// Runs of a merged result are told apart by the dashes of their lines.
int run_index(Result const& result, Arm const& arm) {
    std::vector<std::string> runs;
    for (auto const& other : result.arms)
        if (std::find(runs.begin(), runs.end(), other.run) == runs.end()) runs.push_back(other.run);
    return static_cast<int>(std::find(runs.begin(), runs.end(), arm.run) - runs.begin());
}

Arm const& arm_named(Result const& result, std::string const& name) {
    return *std::find_if(result.arms.begin(), result.arms.end(), [&](Arm const& arm) { return arm.name == name; });
}

Svg draw_groups(std::vector<Series> const& series, GroupedEstimates const& grouping, std::string const& quantity,
                std::string const& title, std::string const& description, bool with_zero) {
    GroupPlot plot;
    plot.groups = grouping.groups.size();
    plot.take_range(series, with_zero);
    Svg svg{plot.left + plot.plot_width + 12, plot.bottom() + 52, title, description};
    svg.rect(plot.left, plot.top, plot.plot_width, plot.plot_height, "panel");
    svg.text(plot.left, plot.top - 8, quantity, "small");
    for (double const tick : ticks(plot.low, plot.high, 5)) {
        svg.line(plot.left, plot.y_of(tick), plot.left + plot.plot_width, plot.y_of(tick),
                 with_zero && std::abs(tick) < 1e-9 ? "zero" : "axis");
        svg.text(plot.left - 6, plot.y_of(tick) + 4, with_zero ? signed_number(tick, 2) : compact_number(tick, 3),
                 "small", "end");
    }
    for (std::size_t g = 0; g < grouping.groups.size(); ++g) {
        svg.text(plot.x_of(g, 0), plot.bottom() + 15, grouping.groups[g].label, "small", "middle");
        svg.text(plot.x_of(g, 0), plot.bottom() + 29, "n=" + std::to_string(grouping.groups[g].examples), "small",
                 "middle");
    }
    svg.text(plot.left + plot.plot_width / 2, plot.bottom() + 46, grouping.title, "small", "middle");
    auto const lines = static_cast<double>(series.size());
    double const step = std::min(7.0, 0.6 * plot.plot_width / static_cast<double>(plot.groups) / std::max(lines, 1.0));
    for (std::size_t s = 0; s < series.size(); ++s)
        draw_series(svg, plot, grouping, series[s], step * (static_cast<double>(s) - 0.5 * (lines - 1)));
    return svg;
}

std::string tsv_interval(Interval const& interval) {
    return fixed_number(interval.value, 6) + "\t" + fixed_number(interval.low, 6) + "\t" +
           fixed_number(interval.high, 6);
}

std::string percent(double level) { return compact_number(100 * level) + "%"; }

std::string gap_name(Gap const& gap) { return gap.a + " \xE2\x88\x92 " + gap.b; }

/// Colours of the two questions: that of the language model, and that of unions.
int gap_colour(Result const& result, Gap const& gap) { return arm_colour(arm_named(result, gap.a)); }

} // namespace

Figure crossover_figure(Result const& result, Analysis const& analysis) {
    Figure figure{
        .id = "crossover",
        .title = "Where the language model overtakes the alignment, and what the union adds",
        .caption =
            "Paired differences of the headline metric within groups of test proteins, with " +
            percent(analysis.options.level) +
            " intervals, not corrected for the number of groups. Above zero the first of the two arms is better: "
            "the language model before the alignment, the union before its better part on the whole test set. A "
            "line that passes zero is a crossover.",
        .legend = {},
        .tsv = "task\tattribute\tgroup\tlow\thigh\texamples\ta\tb\tdifference\tdifference_low\tdifference_high\n",
        .panels = {}};
    std::vector<std::string> named;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        if (task.gaps.empty()) continue;
        for (auto const& grouping : task.groupings) {
            std::vector<Series> series;
            std::string names;
            for (std::size_t k = 0; k < task.gaps.size(); ++k) {
                Gap const& gap = task.gaps[k];
                Series one{gap_name(gap), gap_colour(result, gap), false, 0, {}};
                for (auto const& group : grouping.groups) {
                    one.intervals.push_back(group.gaps[k]);
                    figure.tsv += result.tasks[t].task.name + "\t" + grouping.attribute + "\t" + group.label + "\t" +
                                  (std::isnan(group.low) ? "" : compact_number(group.low, 4)) + "\t" +
                                  (std::isnan(group.high) ? "" : compact_number(group.high, 4)) + "\t" +
                                  std::to_string(group.examples) + "\t" + gap.a + "\t" + gap.b + "\t" +
                                  tsv_interval(group.gaps[k]) + "\n";
                }
                names += (k > 0 ? ", " : "") + one.name;
                std::string const key = "<span class=\"key\"><i class=\"dot k" + std::to_string(one.colour) +
                                        "\"></i>" + escape(one.name) + "</span> ";
                if (std::find(named.begin(), named.end(), key) == named.end()) named.push_back(key);
                series.push_back(std::move(one));
            }
            std::string const title = result.tasks[t].task.title + " by " + attribute_text(grouping.attribute);
            figure.panels.push_back(
                {title, draw_groups(series, grouping, "difference in " + task.metrics.front().name, title,
                                    "Paired differences within groups: " + names + ".", true)});
        }
    }
    for (auto const& key : named) figure.legend += key;
    return figure;
}

Figure group_figure(Result const& result, Analysis const& analysis) {
    Figure figure{.id = "groups",
                  .title = "Every arm by depth of the alignment and distance from the wild type",
                  .caption =
                      "The headline metric within groups of test examples, with " + percent(analysis.options.level) +
                      " intervals: by depth of the alignment where an arm reads one, by distance from the wild type "
                      "where the task has one. The data hold length, structural class and identity to training too.",
                  .legend = {},
                  .tsv = "task\tattribute\tgroup\texamples\tarm\tvalue\tlow\thigh\n",
                  .panels = {}};
    for (auto const& arm : result.arms) figure.legend += arm_label(result, arm.name) + " ";
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        for (auto const& grouping : analysis.tasks[t].groupings) {
            auto const& task = analysis.tasks[t];
            std::vector<Series> series;
            for (std::size_t a = 0; a < task.arms.size(); ++a) {
                Arm const& arm = arm_named(result, task.arms[a].arm);
                Series one{
                    arm.name, arm_colour(arm), role_of(arm) == ArmRole::random_model, run_index(result, arm), {}};
                for (auto const& group : grouping.groups) one.intervals.push_back(group.arms[a]);
                series.push_back(std::move(one));
            }
            for (auto const& group : grouping.groups)
                for (std::size_t a = 0; a < task.arms.size(); ++a)
                    figure.tsv += result.tasks[t].task.name + "\t" + grouping.attribute + "\t" + group.label + "\t" +
                                  std::to_string(group.examples) + "\t" + task.arms[a].arm + "\t" +
                                  tsv_interval(group.arms[a]) + "\n";
            if (grouping.attribute != "depth" && grouping.attribute != "num_mutations") continue;
            std::string const title = result.tasks[t].task.title + " by " + attribute_text(grouping.attribute);
            figure.panels.push_back(
                {title, draw_groups(series, grouping, task.metrics.front().name, title,
                                    "Headline metric within groups of test examples, one line an arm.", false)});
        }
    return figure;
}

} // namespace tape
