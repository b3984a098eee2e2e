#include "compare/crossover.hpp"
#include "compare/report_parts.hpp"

#include <algorithm>
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
        html += "<br/>" + escape(task.gaps[k].a) + " \xE2\x88\x92 " + escape(task.gaps[k].b) + ": " +
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
    std::string html = "<p><b>" + escape(crossover_headline(result, analysis)) + "</b></p><ul class=\"findings\">";
    for (auto const& sentence : sentences) {
        auto const colon = sentence.find(": ");
        html += "<li><b>" + escape(sentence.substr(0, colon)) + "</b>" + escape(sentence.substr(colon)) + "</li>";
    }
    return html + "</ul>";
}

std::string leak_tsv(Result const& result, Analysis const& analysis) {
    std::string text = "task\tset\tname\tleast_identity\tcoverage\texamples\tleaked\tidentical\tmedian_identity\t"
                       "upper_quartile_identity\tarm\tall\twithout\twithout_low\twithout_high\n";
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        for (auto const& audit : task.leaks)
            for (std::size_t a = 0; a < task.arms.size(); ++a) {
                text += result.tasks[t].task.name + "\t" + audit.set + "\t" + audit.name + "\t" +
                        compact_number(audit.least_identity) + "\t" + compact_number(audit.coverage) + "\t" +
                        std::to_string(result.tasks[t].examples.size()) + "\t" + std::to_string(audit.leaked) + "\t" +
                        std::to_string(audit.identical) + "\t" + fixed_number(audit.median) + "\t" +
                        fixed_number(audit.upper_quartile) + "\t" + task.arms[a].arm + "\t" +
                        fixed_number(task.arms[a].metrics.front().interval.value, 6);
                if (audit.without.empty())
                    text += "\t\t\t\n";
                else
                    text += "\t" + fixed_number(audit.without[a].value, 6) + "\t" +
                            fixed_number(audit.without[a].low, 6) + "\t" + fixed_number(audit.without[a].high, 6) +
                            "\n";
            }
    }
    return text;
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
                    cell(std::to_string(audit.identical), "number") +
                    cell(without + gaps_text(task, audit.gaps_without), "pair") + "</tr>";
        }
    }
    if (body.empty()) return {};
    return "<p>A test protein counts as leaked if our search finds a relative with at least 30% identity over at least "
           "80% "
           "of it. A relative in the training part tells the head its label; one in the database is what an alignment "
           "is "
           "made of, and one in a pretraining corpus what a language model has read: no label leaks there, but the "
           "evidence is easier. Variants of one protein are all relatives of each other by design.</p>" +
           table({"Task", "Searched", "Closest identity<br/><small>median, upper quartile</small>", "Leaked",
                  "Identical", "Headline and differences without them"},
                 body) +
           "<div class=\"tools\"><a download=\"leaks.tsv\" href=\"" +
           data_uri("text/tab-separated-values", leak_tsv(result, analysis)) + "\">Data of this table (TSV)</a></div>";
}

std::string calibration_table(Result const& result, Analysis const& analysis) {
    std::vector<std::string> titles{"Task"};
    for (auto const& arm : result.arms) titles.push_back(arm_label(result, arm.name));
    std::string body;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& calibrations = analysis.tasks[t].calibrations;
        if (calibrations.empty()) continue;
        body += "<tr><th scope=\"row\">" + escape(result.tasks[t].task.title) + "</th>";
        for (auto const& arm : result.arms) {
            auto const found = std::ranges::find(calibrations, arm.name, &Calibration::arm);
            body += found == calibrations.end()
                        ? cell("<small>not known</small>", "value")
                        : cell(interval_html(found->error) + "<small>excess " + signed_number(found->excess.value) +
                                   " [" + signed_number(found->excess.low) + ", " + signed_number(found->excess.high) +
                                   "]</small>",
                               "value");
        }
        body += "</tr>";
    }
    if (body.empty()) return {};
    return "<p>Expected calibration error of each head, and the excess of its mean probability over its accuracy: "
           "above zero "
           "it is overconfident.</p>" +
           table(titles, body);
}

} // namespace tape
