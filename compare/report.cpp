#include "compare/report.hpp"

#include "compare/analysis_json.hpp"
#include "compare/report_parts.hpp"
#include "compare/summary.hpp"
#include "data/io.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

namespace tape {

namespace {

/// The part before the dash or colon says who is compared: it stands out.
std::string finding(std::string const& sentence) {
    auto const end = std::min(sentence.find(" \xE2\x80\x94 "), sentence.find(": "));
    if (end == std::string::npos) return "<li>" + escape(sentence) + "</li>";
    return "<li><b>" + escape(sentence.substr(0, end)) + "</b>" + escape(sentence.substr(end)) + "</li>";
}

std::string verdict_section(Result const& result, Analysis const& analysis) {
    auto const verdict = make_verdict(result, analysis);
    std::string html = "<p class=\"verdict\" id=\"verdict\">" + escape(verdict.headline) + "</p>";
    if (!verdict.cautions.empty()) {
        html += "<ul class=\"cautions\">";
        for (auto const& caution : verdict.cautions) html += "<li>" + escape(caution) + "</li>";
        html += "</ul>";
    }
    if (!verdict.sentences.empty()) {
        html += "<ul class=\"findings\">";
        for (auto const& sentence : verdict.sentences) html += finding(sentence);
        html += "</ul>";
    }
    return html;
}

std::string meta_line(Result const& result) {
    std::string arms;
    for (auto const& arm : result.arms) arms += (arms.empty() ? "" : ", ") + escape(arm.name);
    return "<p class=\"meta\">" + std::to_string(result.tasks.size()) +
           (result.tasks.size() == 1 ? " task" : " tasks") + ", arms " + arms + "; " +
           std::to_string(result.seeds.size()) + (result.seeds.size() == 1 ? " seed" : " seeds") + "; preset " +
           escape(result.preset) + "; " + escape(result.manifest.program) + " " + escape(result.manifest.version) +
           ", " + escape(result.manifest.started) + "</p>";
}

std::string figures_html(std::vector<Figure> const& figures, std::initializer_list<char const*> ids) {
    std::string html;
    for (char const* id : ids)
        for (auto const& figure : figures)
            if (figure.id == id) html += figure_html(figure);
    return html;
}

std::string results_section(Result const& result, Analysis const& analysis, std::vector<Figure> const& figures) {
    std::string html =
        "<section id=\"results\"><h2>Results</h2><p>Each cell is the task's metric, averaged over seeds, with its " +
        compact_number(100 * analysis.options.level) +
        "% interval over test examples and seeds. The best value of a task is bold; the darker a cell, the closer to "
        "the "
        "best. \xE2\x80\x9CTAPE\xE2\x80\x9D is the nearest published value, from other weights, databases and heads: "
        "a reference, not a like-for-like comparison.</p>" +
        results_table(result, analysis) + figures_html(figures, {"summary"});
    if (std::string const published = published_table(result); !published.empty())
        html += "<h3>The published rows</h3><p>Rao et al. 2019, as listed in the authors\xE2\x80\x99 repository.</p>" +
                published;
    return html + "</section>";
}

std::string differences_section(Result const& result, Analysis const& analysis, std::vector<Figure> const& figures) {
    return "<section id=\"comparisons\"><h2>Which differences are real</h2><p>Two arms are called different only where "
           "the interval of "
           "their paired difference excludes zero and the permutation test stays below 5% after Holm\xE2\x80\x99s "
           "correction over every "
           "line below; \xE2\x80\x9C"
           "better\xE2\x80\x9D and \xE2\x80\x9Cworse\xE2\x80\x9D speak of the first of the two. \xE2\x80\x9C"
           "Detectable\xE2\x80\x9D is the difference this test set would have shown with 80% power: an open "
           "answer rules out little below it.</p>" +
           figures_html(figures, {"differences"}) + "<h3>All comparisons</h3>" + difference_table(result, analysis) +
           "</section>";
}

std::string section(char const* id, char const* title, std::string const& content) {
    if (content.empty()) return {};
    return std::string{"<section id=\""} + id + "\"><h2>" + title + "</h2>" + content + "</section>";
}

std::string navigation(Analysis const& analysis, std::vector<Figure> const& figures, bool examples) {
    auto const has = [&](std::initializer_list<char const*> ids) {
        return std::any_of(figures.begin(), figures.end(),
                           [&](Figure const& f) { return std::find(ids.begin(), ids.end(), f.id) != ids.end(); });
    };
    std::string html =
        "<nav aria-label=\"Sections\"><a href=\"#results\">Results</a> <a href=\"#comparisons\">Differences</a> ";
    if (has({"crossover", "groups"})) html += "<a href=\"#proteins\">For which proteins</a> ";
    if (std::ranges::any_of(analysis.tasks, [](TaskAnalysis const& task) { return !task.leaks.empty(); }))
        html += "<a href=\"#leaks\">Seen before</a> ";
    if (has({"calibration"})) html += "<a href=\"#confidence\">Calibration</a> ";
    if (has({"contacts"})) html += "<a href=\"#contact-maps\">Contact maps</a> ";
    if (has({"tsne", "mutations", "entropy", "alignment"})) html += "<a href=\"#gfp\">GFP</a> ";
    if (examples) html += "<a href=\"#examples\">Protein by protein</a> ";
    return html + "<a href=\"#details\">Details by task</a> <a href=\"#methods\">Methods</a> <a "
                  "href=\"#provenance\">Provenance</a> "
                  "<a href=\"#cite\">How to cite</a></nav>";
}

} // namespace

std::string report_html(Result const& result, Analysis const& analysis) {
    auto const figures = make_figures(result, analysis);
    std::string const examples = protein_details(result, analysis);
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
           "content=\"width=device-width, "
           "initial-scale=1\"/><meta name=\"color-scheme\" content=\"light dark\"/><title>Alignment, language model, "
           "or both?</title><style>" +
           figure_style() + report_style() +
           "</style></head><body><header><h1>Alignment, language model, or both?</h1>" +
           verdict_section(result, analysis) + meta_line(result) + navigation(analysis, figures, !examples.empty()) +
           "</header><main>" + results_section(result, analysis, figures) +
           differences_section(result, analysis, figures) +
           section("proteins", "For which proteins",
                   crossover_list(result, analysis) + figures_html(figures, {"crossover", "groups"})) +
           section("leaks", "What was seen before", leak_table(result, analysis)) +
           section("confidence", "Calibration",
                   calibration_table(result, analysis) + figures_html(figures, {"calibration"})) +
           section("contact-maps", "Contact maps", figures_html(figures, {"contacts"})) +
           section("gfp", "The green fluorescent protein",
                   figures_html(figures, {"tsne", "mutations", "entropy", "alignment"})) +
           section("examples", "Protein by protein", examples) +
           section("details", "Details by task", task_details(result, analysis)) + methods_section(result, analysis) +
           provenance_section(result) + citation_section() + "</main></body></html>\n";
}

void write_report(std::filesystem::path const& file, Result const& result, Analysis const& analysis) {
    std::string const html = report_html(result, analysis);
    write_atomically(file, [&](std::ostream& out) { out << html; });
}

std::string statistics_json(Result const& result, Analysis const& analysis) {
    return to_json(result, analysis).dump(1) + "\n";
}

void write_figures(std::filesystem::path const& directory, std::vector<Figure> const& figures) {
    std::filesystem::create_directories(directory);
    for (auto const& figure : figures) {
        write_text(directory / (figure.id + ".tsv"), figure.tsv);
        for (std::size_t p = 0; p < figure.panels.size(); ++p)
            write_text(directory / (figure.id + "-" + std::to_string(p) + ".svg"), figure.panels[p].drawing.file());
    }
}

void write_outputs(std::filesystem::path const& directory, Result const& result, ResamplingOptions const& options) {
    // First what cannot be made again in seconds.
    write_result(directory / "result.json", result);
    auto const analysis = analyse(result, options);
    write_text(directory / "table.tsv", summary_tsv(result, analysis));
    write_text(directory / "statistics.json", statistics_json(result, analysis));
    write_text(directory / "leaks.tsv", leak_tsv(result, analysis));
    write_figures(directory / "figures", make_figures(result, analysis));
    write_report(directory / "report.html", result, analysis);
    std::cout << summary_text(result, analysis) << std::flush;
}

} // namespace tape
