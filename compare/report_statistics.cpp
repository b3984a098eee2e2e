#include "compare/crossover.hpp"
#include "compare/report_parts.hpp"

#include <cmath>

namespace tape {

namespace {

std::string cell(std::string const& content, char const* classes = "number") {
    return std::string{"<td class=\""} + classes + "\">" + content + "</td>";
}

std::string table(std::vector<std::string> const& titles, std::string const& body) {
    std::string html = "<div class=\"scroll\"><table><thead><tr>";
    for (auto const& title : titles) html += "<th scope=\"col\">" + title + "</th>";
    return html + "</tr></thead><tbody>" + body + "</tbody></table></div>";
}

std::string percent(double share) { return std::isnan(share) ? "n/a" : fixed_number(100 * share, 0) + "%"; }

std::string gaps_text(TaskAnalysis const& task, std::vector<Interval> const& gaps) {
    std::string html;
    for (std::size_t k = 0; k < gaps.size(); ++k)
        html += (k > 0 ? "<br/>" : "") + escape(task.gaps[k].a) + " \xE2\x88\x92 " + escape(task.gaps[k].b) + ": " +
                signed_number(gaps[k].value) + " <small>[" + signed_number(gaps[k].low) + ", " +
                signed_number(gaps[k].high) + "]</small>";
    return html;
}

std::string what_was_searched(LeakAudit const& audit) {
    char const* const names[] = {"training", "database", "corpus"};
    char const* const texts[] = {"training part", "database of the alignments", "pretraining corpus"};
    for (std::size_t k = 0; k < 3; ++k)
        if (audit.set == names[k]) return std::string{texts[k]} + "<br/><small>" + escape(audit.name) + "</small>";
    return escape(audit.set) + "<br/><small>" + escape(audit.name) + "</small>";
}

} // namespace

std::string crossover_list(Result const& result, Analysis const& analysis) {
    auto const sentences = crossover_sentences(result, analysis);
    if (sentences.empty()) return {};
    std::string html = "<ul class=\"findings\">";
    for (auto const& sentence : sentences) {
        auto const colon = sentence.find(": ");
        html += "<li><b>" + escape(sentence.substr(0, colon)) + "</b>" + escape(sentence.substr(colon)) + "</li>";
    }
    return html + "</ul>";
}

std::string leak_table(Result const& result, Analysis const& analysis) {
    std::string body;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        for (auto const& audit : task.leaks) {
            std::size_t const examples = result.tasks[t].examples.size();
            std::string without;
            for (std::size_t a = 0; a < audit.without.size(); ++a)
                without += (a > 0 ? "<br/>" : "") + escape(task.arms[a].arm) + ": " +
                           fixed_number(audit.without[a].value) + " <small>[" + fixed_number(audit.without[a].low) +
                           ", " + fixed_number(audit.without[a].high) +
                           "]; all: " + fixed_number(task.arms[a].metrics.front().interval.value) + "</small>";
            if (audit.without.empty())
                without = audit.leaked == 0 ? "<small>none to leave out</small>"
                                            : "<small>" + std::to_string(examples - audit.leaked) +
                                                  " proteins are left: too few</small>";
            body += "<tr><th scope=\"row\">" + escape(result.tasks[t].task.title) + "</th>" +
                    cell(what_was_searched(audit), "wrap") +
                    cell(percent(audit.median) + ", " + percent(audit.upper_quartile), "number") +
                    cell(std::to_string(audit.leaked) + " of " + std::to_string(examples), "number") +
                    cell(std::to_string(audit.identical), "number") + cell(without, "pair") +
                    cell(gaps_text(task, audit.gaps_without), "pair") + "</tr>";
        }
    }
    if (body.empty()) return {};
    return "<p>A test protein counts as leaked if our search finds a relative with at least 30% identity over at least "
           "80% "
           "of it. A relative in the training part tells the head its label; one in the database is what an alignment "
           "is "
           "made of, and one in a pretraining corpus what a language model has read: no label leaks there, but the "
           "evidence is easier. Variants of one protein are all relatives of each other by design.</p>" +
           table({"Task", "Searched", "Closest identity: median, upper quartile", "Leaked", "Identical",
                  "Headline without them", "Differences without them"},
                 body);
}

std::string calibration_table(Result const& result, Analysis const& analysis) {
    std::string body;
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        for (auto const& calibration : analysis.tasks[t].calibrations)
            body += "<tr><th scope=\"row\">" + escape(result.tasks[t].task.title) + "</th>" +
                    cell(arm_label(result, calibration.arm), "wrap") + cell(interval_html(calibration.error), "value") +
                    cell(signed_number(calibration.excess.value) + "<small>[" + signed_number(calibration.excess.low) +
                             ", " + signed_number(calibration.excess.high) + "]</small>",
                         "value") +
                    "</tr>";
    if (body.empty()) return {};
    return table({"Task", "Arm", "Expected calibration error", "Probability minus accuracy"}, body);
}

} // namespace tape
