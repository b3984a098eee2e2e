#include "compare/published.hpp"
#include "compare/report_parts.hpp"
#include "compare/summary.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tape {

namespace {

std::string cell(std::string const& content, char const* classes = "") {
    return std::string{"<td"} + (*classes ? std::string{" class=\""} + classes + "\"" : "") + ">" + content + "</td>";
}

std::string header(std::vector<std::string> const& titles, char const* classes = "") {
    std::string html = "<thead><tr>";
    for (std::size_t c = 0; c < titles.size(); ++c)
        html += (c > 0 && *classes ? std::string{"<th scope=\"col\" class=\""} + classes + "\">"
                                   : std::string{"<th scope=\"col\">"}) +
                titles[c] + "</th>";
    return html + "</tr></thead>";
}

std::string table(std::string const& head, std::string const& body) {
    return "<div class=\"scroll\"><table>" + head + "<tbody>" + body + "</tbody></table></div>";
}

std::string row_title(std::string const& title) { return "<th scope=\"row\">" + title + "</th>"; }

std::string title_of(Task const& task) { return escape(task.title.empty() ? task.name : task.title); }

/// Place of a value between the worst (0) and the best (1) arm of its task.
double shade(double value, TaskAnalysis const& task) {
    double low = INFINITY, high = -INFINITY;
    for (auto const& arm : task.arms)
        if (double const v = arm.metrics.front().interval.value; std::isfinite(v))
            low = std::min(low, v), high = std::max(high, v);
    return std::isfinite(value) && high > low ? (value - low) / (high - low) : 0;
}

std::string published_note(std::string const& task, Arm const& arm) {
    for (auto const& row : published_rows())
        if (arm.sources == std::vector<std::string>{row.arm} && row.of(task))
            return "<small>TAPE: " + fixed_number(*row.of(task), 2) + "</small>";
    return {};
}

std::string p_text(double p) {
    if (std::isnan(p)) return "n/a";
    return p < 0.001 ? "&lt;\xE2\x80\x89.001" : fixed_number(p, 3);
}

} // namespace

std::string interval_html(Interval const& interval) {
    std::string html = "<span class=\"value-number\">" + fixed_number(interval.value) + "</span>";
    if (std::isfinite(interval.low))
        html += "<small>[" + fixed_number(interval.low) + ", " + fixed_number(interval.high) + "]</small>";
    return html;
}

std::string results_table(Result const& result, Analysis const& analysis) {
    std::vector<std::string> titles{"Task", "n"};
    for (auto const& arm : result.arms) titles.push_back(arm_label(result, arm.name));
    std::string body;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t];
        auto const& numbers = analysis.tasks[t];
        std::string const best = best_arm(numbers);
        body += "<tr>" + row_title(title_of(task.task)) + cell(std::to_string(task.examples.size()), "number");
        for (auto const& arm : result.arms) {
            auto const* estimate = find_arm(numbers, arm.name);
            if (estimate == nullptr) {
                body += cell("<small>not run</small>");
                continue;
            }
            auto const& interval = estimate->metrics.front().interval;
            body += std::string{"<td class=\"value"} + (arm.name == best ? " best" : "") +
                    "\" style=\"--w:" + fixed_number(shade(interval.value, numbers), 2) + "\">" +
                    interval_html(interval) + published_note(task.task.name, arm) + "</td>";
        }
        body += "</tr>";
    }
    return table(header(titles), body);
}

std::string published_table(Result const& result) {
    std::string body;
    std::vector<Task> tasks;
    for (auto const& entry : result.tasks)
        if (published_rows().front().of(entry.task.name) &&
            std::none_of(tasks.begin(), tasks.end(), [&](Task const& t) { return t.name == entry.task.name; }))
            tasks.push_back(entry.task);
    if (tasks.empty()) return {};
    std::vector<std::string> titles{"As published"};
    for (auto const& task : tasks) titles.push_back(title_of(task));
    for (auto const& row : published_rows()) {
        body += "<tr>" + row_title(escape(row.label) + " <small>" + escape(row.group) + "</small>");
        for (auto const& task : tasks) {
            auto const value = row.of(task.name);
            body += cell(value ? fixed_number(*value, 2) : "\xE2\x80\x93", "number");
        }
        body += "</tr>";
    }
    return table(header(titles, "number"), body);
}

std::string difference_table(Result const& result, Analysis const& analysis) {
    std::string body;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        if (!analysis.tasks[t].differences.empty())
            body += "<tr class=\"task\"><th colspan=\"8\" scope=\"rowgroup\">" + title_of(result.tasks[t].task) +
                    "</th></tr>";
        for (auto const& d : analysis.tasks[t].differences) {
            std::string const answer = !d.significant() ? "open" : d.interval.value > 0 ? "better" : "worse";
            body += "<tr><td class=\"pair\" title=\"" + escape(question_text(d.question)) + "\">" + escape(d.a) +
                    " \xE2\x88\x92 " + escape(d.b) + "</td>" +
                    cell(signed_number(d.interval.value) + " <small>[" + signed_number(d.interval.low) + ", " +
                             signed_number(d.interval.high) + "]</small>",
                         "value") +
                    cell(answer, d.significant() ? "yes pair" : "no pair") + cell(p_text(d.p), "number") +
                    cell(p_text(d.p_holm), "number") + cell(signed_number(d.effect, 2), "number") +
                    cell(std::to_string(d.better) + ":" + std::to_string(d.worse), "number") +
                    cell(fixed_number(d.detectable, 3), "number") + "</tr>";
        }
    }
    if (body.empty()) return "<p>Only one arm ran, so there is nothing to compare.</p>";
    return "<div class=\"comparisons\">" +
           table(header({"Comparison", "Difference", "Answer", "p", "p, Holm", "d", "For:against", "Detectable"}),
                 body) +
           "</div>";
}

namespace {

std::string metrics_table(Result const& result, TaskAnalysis const& task) {
    std::vector<std::string> titles{"Metric"};
    for (auto const& arm : task.arms) titles.push_back(arm_label(result, arm.arm));
    std::string body;
    for (std::size_t m = 0; m < task.metrics.size(); ++m) {
        body += "<tr>" + row_title(escape(task.metrics[m].name));
        for (auto const& arm : task.arms) body += cell(interval_html(arm.metrics[m].interval), "value");
        body += "</tr>";
    }
    if (!task.without_leaked.empty()) {
        body += "<tr>" + row_title(escape(task.metrics.front().name) + ", without sequences of the training part");
        for (auto const& interval : task.without_leaked) body += cell(interval_html(interval), "value");
        body += "</tr>";
    }
    return table(header(titles), body);
}

std::string distinct(std::vector<std::string> values) {
    std::vector<std::string> seen;
    std::string text;
    for (auto const& value : values)
        if (std::find(seen.begin(), seen.end(), value) == seen.end()) {
            seen.push_back(value);
            text += (text.empty() ? "" : "; ") + escape(value);
        }
    return text;
}

std::string heads_table(Result const& result, TaskResult const& task, TaskAnalysis const& analysis) {
    std::string body;
    for (std::size_t a = 0; a < analysis.arms.size(); ++a) {
        auto const& arm = analysis.arms[a];
        std::vector<std::string> heads, hyperparameters, scores, seconds;
        std::size_t train = 0, valid = 0;
        for (auto const& run : task.runs) {
            if (run.arm != arm.arm) continue;
            heads.push_back(run.head), hyperparameters.push_back(run.hyperparameters),
                scores.push_back(fixed_number(run.valid_score));
            seconds.push_back(fixed_number(run.feature_seconds, 1) + " + " + fixed_number(run.head_seconds, 1));
            train = run.train_size, valid = run.valid_size;
        }
        std::string by_seed;
        for (double const value : arm.metrics.front().by_seed)
            by_seed += (by_seed.empty() ? "" : ", ") + fixed_number(value);
        body += "<tr>" + row_title(arm_label(result, arm.arm)) +
                cell(std::to_string(train) + " / " + std::to_string(valid), "number") + cell(distinct(heads), "wrap") +
                cell(distinct(hyperparameters), "wrap") + cell(distinct(scores)) + cell(by_seed) +
                cell(distinct(seconds)) + "</tr>";
    }
    std::string train = "Train / valid";
    if (task.train_available > 0) train += "<small> of " + std::to_string(task.train_available) + "</small>";
    return table(header({"Arm", train, "Head", "Chosen on validation", "Validation, by seed", "Test, by seed",
                         "Seconds, features + head"}),
                 body);
}

std::string depth_text(std::vector<float> depth) {
    if (depth.empty()) return "\xE2\x80\x93";
    std::sort(depth.begin(), depth.end());
    auto const at = [&](double share) {
        return compact_number(depth[static_cast<std::size_t>(share * static_cast<double>(depth.size() - 1))], 1);
    };
    auto const dark = std::count_if(depth.begin(), depth.end(), [](float d) { return d < 5; });
    return "median " + at(.5) + ", quartiles " + at(.25) + " and " + at(.75) + ", most " + at(1) + "; " +
           std::to_string(dark) + " of " + std::to_string(depth.size()) + " below 5";
}

std::string evidence_table(Result const& result, TaskResult const& task) {
    std::string body;
    for (auto const& [arm, row] : task.evidence) {
        std::string sources;
        for (auto const& [text, count] : row.provenance)
            sources += (sources.empty() ? "" : "<br/>") + escape(text.empty() ? "not stated" : text) + ": " +
                       std::to_string(count);
        if (sources.empty() && std::all_of(row.depth.begin(), row.depth.end(), [](float d) { return d == 0; }))
            continue;
        body += "<tr>" + row_title(arm_label(result, arm)) + cell(sources, "wrap") +
                cell(depth_text(row.depth), "wrap") + "</tr>";
    }
    if (body.empty()) return {};
    return "<h3>Evidence read</h3>" + table(header({"Arm", "Where each test protein's alignment came from: proteins",
                                                    "Depth (Neff at 80% identity)"}),
                                            body);
}

/// Mean contribution of an example over an arm's seeds.
std::vector<double> protein_scores(TaskResult const& task, Metric const& metric, std::string const& arm) {
    std::vector<double> total(task.examples.size());
    double runs = 0;
    for (auto const& run : task.runs) {
        if (run.arm != arm) continue;
        auto const scores = example_scores(metric, task.examples, run);
        for (std::size_t i = 0; i < total.size(); ++i)
            total[i] += scores.second[i] > 0 ? scores.first[i] / scores.second[i] : NAN;
        ++runs;
    }
    for (double& value : total) value /= runs;
    return total;
}

/// The five proteins most in favour of either side of the task's first question.
std::string protein_table(Result const& result, TaskResult const& task, TaskAnalysis const& analysis) {
    if (task.task.kind != TaskKind::residue_class && task.task.kind != TaskKind::residue_pair) return {};
    auto const chosen = std::find_if(analysis.differences.begin(), analysis.differences.end(), [](Difference const& d) {
        return d.question == Question::sources || d.question == Question::joined;
    });
    if (chosen == analysis.differences.end()) return {};
    auto const a = protein_scores(task, analysis.metrics.front(), chosen->a),
               b = protein_scores(task, analysis.metrics.front(), chosen->b);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (std::isfinite(a[i]) && std::isfinite(b[i])) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](auto x, auto y) { return a[x] - b[x] > a[y] - b[y]; });
    if (order.size() > 10) order.erase(order.begin() + 5, order.end() - 5);
    auto const evidence = task.evidence.find(chosen->a);
    bool const deep = evidence != task.evidence.end() && !evidence->second.depth.empty();
    std::string body;
    for (std::size_t const i : order)
        body += "<tr>" + row_title(escape(task.examples[i].id)) +
                cell(std::to_string(task.examples[i].residues.size()), "number") +
                cell(deep ? compact_number(evidence->second.depth[i], 1) : "\xE2\x80\x93", "number") +
                cell(fixed_number(a[i]), "number") + cell(fixed_number(b[i]), "number") +
                cell(signed_number(a[i] - b[i]), "number") + "</tr>";
    return "<h3>Proteins that set " + escape(chosen->a) + " and " + escape(chosen->b) + " furthest apart</h3>" +
           table(header({"Protein", "Residues", "Depth", arm_label(result, chosen->a), arm_label(result, chosen->b),
                         "Difference"},
                        "number"),
                 body);
}

std::string notes_list(std::vector<std::string> const& notes) {
    if (notes.empty()) return {};
    std::string html = "<h3>Notes</h3><ul>";
    for (auto const& note : notes) html += "<li>" + escape(note) + "</li>";
    return html + "</ul>";
}

} // namespace

std::string task_details(Result const& result, Analysis const& analysis) {
    std::string html;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t];
        html += "<details id=\"task-" + std::to_string(t) + "\"><summary>" + title_of(task.task) + "<small>" +
                std::to_string(task.examples.size()) + " test examples (" + escape(task.task.test) +
                ")</small></summary>";
        html += metrics_table(result, analysis.tasks[t]) + "<ul>";
        for (auto const& metric : analysis.tasks[t].metrics)
            html += "<li><b>" + escape(metric.name) + "</b>: " + escape(metric.definition) +
                    (metric.lower_is_better ? " (less is better)" : "") + "</li>";
        html += "</ul><h3>Heads</h3>" + heads_table(result, task, analysis.tasks[t]) + evidence_table(result, task) +
                protein_table(result, task, analysis.tasks[t]) + notes_list(task.notes) + "</details>";
    }
    return html;
}

std::string figure_html(Figure const& figure) {
    std::string html = "<figure id=\"figure-" + figure.id + "\"><h3>" + escape(figure.title) + "</h3><figcaption>" +
                       figure.caption + "</figcaption>";
    if (!figure.legend.empty()) html += "<div class=\"legend\">" + figure.legend + "</div>";
    html += std::string{"<div class=\"panels"} + (figure.wide ? " wide" : "") + "\">";
    for (std::size_t p = 0; p < figure.panels.size(); ++p) {
        std::string const id = figure.id + "-" + std::to_string(p);
        auto const& panel = figure.panels[p];
        html += "<div class=\"panel-box\" style=\"width:" + compact_number(panel.drawing.width()) + "px\">" +
                (panel.heading.empty() ? "" : "<h4>" + escape(panel.heading) + "</h4>") + panel.drawing.markup(id) +
                "<div class=\"tools\"><a download=\"" + id + ".svg\" href=\"" +
                data_uri("image/svg+xml", panel.drawing.file()) + "\">SVG</a></div></div>";
    }
    return html + "</div><div class=\"tools\"><a download=\"" + figure.id + ".tsv\" href=\"" +
           data_uri("text/tab-separated-values", figure.tsv) + "\">Data of this figure (TSV)</a></div></figure>";
}

} // namespace tape
