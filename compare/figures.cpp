#include "compare/figures.hpp"

#include "compare/published.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace tape {

namespace {

Arm const& arm_named(Result const& result, std::string const& name) {
    return *std::find_if(result.arms.begin(), result.arms.end(), [&](Arm const& arm) { return arm.name == name; });
}

/// A line of an interval plot.
struct PlotRow {
    std::string label;
    int colour = 0;
    bool open = false; ///< hollow marker: not pretrained
    Interval interval;
    std::vector<double> seeds;
    std::optional<double> published;
};

struct Span {
    double low = 0, high = 1;
};

Span span_of(std::vector<PlotRow> const& rows, bool with_zero) {
    double low = with_zero ? 0 : INFINITY, high = with_zero ? 0 : -INFINITY;
    auto const take = [&](double value) {
        if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
    };
    for (auto const& row : rows) {
        take(row.interval.value), take(row.interval.low), take(row.interval.high);
        for (double const seed : row.seeds) take(seed);
        if (row.published) take(*row.published);
    }
    if (!(low <= high)) return {};
    double const pad = std::max(0.06 * (high - low), 0.005);
    return {low - pad, high + pad};
}

double label_width(std::vector<std::string> const& labels) {
    std::size_t most = 0;
    for (auto const& label : labels) {
        auto const letters = std::count_if(label.begin(), label.end(), [](char c) { return (c & '\xC0') != '\x80'; });
        most = std::max(most, static_cast<std::size_t>(letters));
    }
    return std::clamp(7.1 * static_cast<double>(most) + 14, 60.0, 300.0);
}

void draw_row(Svg& svg, PlotRow const& row, double y, double label, auto const& x_of) {
    std::string const stroke = "a" + std::to_string(row.colour), fill = "f" + std::to_string(row.colour);
    svg.text(label - 10, y + 4, row.label, "", "end");
    if (row.published)
        svg.diamond(x_of(*row.published), y, 4.5, "published", "TAPE, published: " + fixed_number(*row.published, 2));
    if (std::isnan(row.interval.value)) {
        svg.text(label + 6, y + 4, "undefined", "small");
        return;
    }
    if (std::isfinite(row.interval.low))
        svg.line(x_of(row.interval.low), y, x_of(row.interval.high), y, "interval " + stroke);
    for (double const seed : row.seeds)
        if (std::isfinite(seed)) svg.circle(x_of(seed), y, 2, "seed " + fill);
    std::string const tip = row.label + ": " + fixed_number(row.interval.value) + " [" +
                            fixed_number(row.interval.low) + ", " + fixed_number(row.interval.high) + "]";
    svg.circle(x_of(row.interval.value), y, 4.5, row.open ? "open " + stroke : fill, tip);
}

/// Dots with intervals, one row an arm or a comparison; the axis below.
Svg interval_plot(std::string const& title, std::string const& description, std::vector<PlotRow> const& rows,
                  bool with_zero, std::string const& axis, double label) {
    constexpr double plot = 250, right = 16, row_height = 21, top = 6;
    double const bottom = top + row_height * static_cast<double>(rows.size());
    Svg svg{label + plot + right, bottom + 40, title, description};
    Span const span = span_of(rows, with_zero);
    auto const x_of = [&](double value) { return label + plot * (value - span.low) / (span.high - span.low); };
    svg.rect(label, top, plot, bottom - top, "panel");
    for (double const tick : ticks(span.low, span.high, with_zero ? 3 : 5)) { // signed labels are wider
        svg.line(x_of(tick), top, x_of(tick), bottom, with_zero && std::abs(tick) < 1e-9 ? "zero" : "axis");
        svg.text(x_of(tick), bottom + 15, with_zero ? signed_number(tick, 2) : compact_number(tick, 3), "small",
                 "middle");
    }
    svg.text(label + plot / 2, bottom + 32, axis, "small", "middle");
    for (std::size_t r = 0; r < rows.size(); ++r)
        draw_row(svg, rows[r], top + row_height * (static_cast<double>(r) + 0.5), label, x_of);
    return svg;
}

std::optional<double> published_value(std::string const& task, Arm const& arm) {
    for (auto const& row : published_rows())
        if (arm.sources.size() == 1 && row.arm == arm.sources.front()) return row.of(task);
    return std::nullopt;
}

std::string tsv_interval(Interval const& interval) {
    return fixed_number(interval.value, 6) + "\t" + fixed_number(interval.low, 6) + "\t" +
           fixed_number(interval.high, 6);
}

std::string percent(double level) { return compact_number(100 * level) + "%"; }

std::vector<std::string> arm_names(Result const& result) {
    std::vector<std::string> names;
    for (auto const& arm : result.arms) names.push_back(arm.name);
    return names;
}

std::string legend_of_arms(Result const& result) {
    std::string html;
    for (auto const& arm : result.arms) html += arm_label(result, arm.name) + " ";
    return html;
}

} // namespace

int arm_colour(Arm const& arm) {
    static std::map<std::string, int> const colours{{"onehot", 0}, {"msa", 1},    {"transformer", 2}, {"unirep", 3},
                                                    {"lstm", 4},   {"resnet", 5}, {"bepler", 6}};
    if (arm.sources.size() > 1)
        return std::find(arm.sources.begin(), arm.sources.end(), "msa") == arm.sources.end() ? 8 : 7;
    std::string const source = arm.sources.empty() ? arm.name : arm.sources.front();
    auto const found = colours.find(source.substr(0, source.find('@')));
    return found == colours.end() ? 9 : found->second;
}

std::string arm_label(Result const& result, std::string const& arm) {
    auto const& entry = arm_named(result, arm);
    std::string const open = role_of(entry) == ArmRole::random_model ? " open" : "";
    std::string name; // long names may break before '@' and after '+'
    for (char const c : arm) name += c == '@' ? "<wbr/>@" : c == '+' ? "+<wbr/>" : escape(std::string_view{&c, 1});
    return "<span class=\"arm\"><i class=\"dot k" + std::to_string(arm_colour(entry)) + open + "\"></i><span>" + name +
           "</span></span>";
}

std::string question_text(Question question) {
    switch (question) {
    case Question::sources:
        return "alignment against language model";
    case Question::joined:
        return "union against its better part";
    case Question::pretraining:
        return "pretrained against random weights";
    case Question::models:
        return "one language model against another";
    case Question::runs:
        return "same arm, another run";
    case Question::baseline:
        break;
    }
    return "against one-hot residues";
}

Figure summary_figure(Result const& result, Analysis const& analysis) {
    Figure figure{
        .id = "summary",
        .title = "Every arm on every task",
        .caption = "Dots are means over seeds on the whole test set, small dots single seeds, bars " +
                   percent(analysis.options.level) +
                   " intervals over test examples and seeds. Diamonds: the published value of the nearest arm of TAPE.",
        .legend = legend_of_arms(result),
        .tsv = "task\tmetric\tarm\tvalue\tlow\thigh\tpublished\n",
        .panels = {}};
    double const label = label_width(arm_names(result));
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t].task;
        std::vector<PlotRow> rows;
        for (auto const& estimate : analysis.tasks[t].arms) {
            Arm const& arm = arm_named(result, estimate.arm);
            auto const& headline = estimate.metrics.front();
            rows.push_back({estimate.arm, arm_colour(arm), role_of(arm) == ArmRole::random_model, headline.interval,
                            headline.by_seed, published_value(task.name, arm)});
            figure.tsv += task.name + "\t" + headline.metric + "\t" + estimate.arm + "\t" +
                          tsv_interval(headline.interval) + "\t" +
                          (rows.back().published ? fixed_number(*rows.back().published, 2) : "") + "\n";
        }
        if (rows.empty()) continue;
        std::string const metric = analysis.tasks[t].metrics.front().name;
        figure.panels.push_back(
            {task.title, interval_plot(task.title + ": " + metric + " of every arm",
                                       "Dot plot with intervals; the table of results holds the same numbers.", rows,
                                       false, metric, label)});
    }
    return figure;
}

Figure difference_figure(Result const& result, Analysis const& analysis) {
    Figure figure{
        .id = "differences",
        .title = "Paired differences",
        .caption =
            "Difference of the headline metric between two arms on the same test examples, with its " +
            percent(analysis.options.level) +
            " interval. A bar that crosses zero leaves open which arm is better. Filled: p &lt; .05 after Holm's "
            "correction over all differences of this page; hollow: not.",
        .legend = {},
        .tsv = "task\ta\tb\tquestion\tdifference\tlow\thigh\tp\tp_holm\teffect\tdetectable\tbetter\tworse\n",
        .panels = {}};
    std::vector<std::string> labels;
    auto const label_of = [](Difference const& d) { return d.a + " \xE2\x88\x92 " + d.b; };
    for (auto const& task : analysis.tasks)
        for (auto const& difference : task.differences) labels.push_back(label_of(difference));
    double const label = label_width(labels);
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t].task;
        std::vector<PlotRow> rows;
        for (auto const& d : analysis.tasks[t].differences) {
            rows.push_back({label_of(d), arm_colour(arm_named(result, d.a)), !d.significant(), d.interval, {}, {}});
            figure.tsv += task.name + "\t" + d.a + "\t" + d.b + "\t" + question_text(d.question) + "\t" +
                          tsv_interval(d.interval) + "\t" + compact_number(d.p, 6) + "\t" +
                          compact_number(d.p_holm, 6) + "\t" + fixed_number(d.effect, 4) + "\t" +
                          fixed_number(d.detectable, 6) + "\t" + std::to_string(d.better) + "\t" +
                          std::to_string(d.worse) + "\n";
        }
        if (rows.empty()) continue;
        std::string const metric = analysis.tasks[t].metrics.front().name;
        figure.panels.push_back(
            {task.title, interval_plot(task.title + ": paired differences of " + metric,
                                       "Forest plot; the table of differences holds the same numbers.", rows, true,
                                       "difference in " + metric, label)});
    }
    return figure;
}

std::vector<Figure> make_figures(Result const& result, Analysis const& analysis) {
    std::vector<Figure> figures{summary_figure(result, analysis),
                                difference_figure(result, analysis),
                                crossover_figure(result, analysis),
                                group_figure(result, analysis),
                                calibration_figure(result, analysis),
                                contact_figure(result),
                                tsne_figure(result),
                                mutation_figure(result),
                                entropy_figure(result),
                                alignment_figure(result)};
    std::erase_if(figures, [](Figure const& figure) { return figure.panels.empty(); });
    return figures;
}

} // namespace tape
