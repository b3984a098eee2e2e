#include "compare/report.hpp"
#include "compare/report_merge.hpp"
#include "compare/summary.hpp"
#include "compare/svg.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

namespace tape {
namespace {

ResamplingOptions quick() {
    ResamplingOptions options;
    options.resamples = 100;
    options.permutations = 100;
    return options;
}

Result const& result() {
    static Result const made = test::synthetic_result({.residue_proteins = 40,
                                                       .pair_proteins = 20,
                                                       .class_proteins = 40,
                                                       .variants = 200,
                                                       .seeds = 3,
                                                       .embedding_points = 1000,
                                                       .alignment_rows = 40});
    return made;
}

std::string const& page() {
    static std::string const html = report_html(result(), analyse(result(), quick()));
    return html;
}

bool contains(std::string const& part) { return page().find(part) != std::string::npos; }

/// Opens and closes every tag in order, quotes every attribute, gives no id twice; the first complaint, or nothing.
std::string complaint_about(std::string const& html) {
    std::vector<std::string> open;
    std::set<std::string> ids;
    for (std::size_t at = html.find('<', html.find('\n')); at != std::string::npos; at = html.find('<', at)) {
        std::size_t const name_end = html.find_first_of(" />", at + 1 + (html[at + 1] == '/'));
        std::string const name = html.substr(at + 1, name_end - at - 1);
        std::size_t end = at + 1; // the closing '>' outside quotes
        for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end) {
            if (html[end] == '"') quoted = !quoted;
            if (html[end] == '<') return "'<' inside the tag " + name;
        }
        std::string const tag = html.substr(at, end + 1 - at);
        if (name[0] == '/') {
            if (open.empty() || "/" + open.back() != name)
                return "<" + name + "> closes " + (open.empty() ? "nothing" : open.back());
            open.pop_back();
        } else {
            if (auto const id = tag.find(" id=\""); id != std::string::npos)
                if (!ids.insert(tag.substr(id + 5, tag.find('"', id + 5) - id - 5)).second) return "id twice in " + tag;
            if (!tag.ends_with("/>")) open.push_back(name);
        }
        at = end;
    }
    return open.empty() ? "" : "<" + open.back() + "> stays open";
}

TEST(Report, IsWellFormed) {
    EXPECT_EQ(complaint_about(page()), "");
    EXPECT_EQ(complaint_about("<!doctype html>\n<a><b></a>"), "</a> closes b") << "the checker can fail";
    EXPECT_EQ(complaint_about("<!doctype html>\n<a id=\"x\"/><b id=\"x\"/>"), "id twice in <b id=\"x\"/>");
    // Every ampersand begins an entity.
    for (auto at = page().find('&'); at != std::string::npos; at = page().find('&', at + 1)) {
        auto const end = page().find(';', at);
        std::string const entity = page().substr(at, end - at + 1);
        EXPECT_TRUE((std::set<std::string>{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}.contains(entity)))
            << entity.substr(0, 20);
    }
}

TEST(Report, AsksNothingOfTheNetworkAndRunsNoScript) {
    EXPECT_FALSE(contains("http://"));
    EXPECT_FALSE(contains("https://"));
    EXPECT_FALSE(contains("<script"));
    EXPECT_FALSE(contains("<link"));
    EXPECT_FALSE(contains("@import"));
    EXPECT_FALSE(contains("url("));
    EXPECT_FALSE(contains(" src="));
    for (auto at = page().find("href=\""); at != std::string::npos; at = page().find("href=\"", at + 1)) {
        std::string const target = page().substr(at + 6, 5);
        EXPECT_TRUE(target.starts_with("#") || target == "data:") << target;
    }
    EXPECT_LT(page().size(), 5'000'000U);
}

TEST(Report, EveryLinkInsideThePageHasItsTarget) {
    for (auto at = page().find("href=\"#"); at != std::string::npos; at = page().find("href=\"#", at + 1)) {
        std::string const target = page().substr(at + 7, page().find('"', at + 7) - at - 7);
        EXPECT_TRUE(contains("id=\"" + target + "\"")) << target;
    }
}

TEST(Report, PutsTheVerdictFirst) {
    auto const analysis = analyse(result(), quick());
    auto const verdict = page().find(escape(make_verdict(result(), analysis).headline));
    ASSERT_NE(verdict, std::string::npos);
    for (auto const* later : {"<table", "<figure", "<section", "<nav"}) EXPECT_LT(verdict, page().find(later)) << later;
    EXPECT_LT(verdict, page().find("Quick preset: the heads saw few training proteins"));
}

TEST(Report, HasEveryFigureTableAndSection) {
    for (auto const* id : {"summary", "differences", "crossover", "groups", "calibration", "contacts", "tsne",
                           "mutations", "entropy", "alignment"}) {
        EXPECT_TRUE(contains(std::string{"<figure id=\"figure-"} + id + "\"")) << id;
        EXPECT_TRUE(contains(std::string{"download=\""} + id + ".tsv\" href=\"data:text/tab-separated-values")) << id;
        EXPECT_TRUE(contains(std::string{"download=\""} + id + "-0.svg\" href=\"data:image/svg+xml")) << id;
    }
    for (auto const* id : {"results", "comparisons", "proteins", "leaks", "confidence", "contact-maps", "gfp",
                           "examples", "details", "methods", "provenance", "cite"})
        EXPECT_TRUE(contains(std::string{"<section id=\""} + id + "\"")) << id;
    EXPECT_TRUE(contains("Evaluating Protein Transfer Learning with TAPE"));
    EXPECT_TRUE(contains("MIT licence"));
    EXPECT_TRUE(contains("The unit of resampling is the variant."));
    EXPECT_TRUE(contains("TAPE: 0.80")) << "published value beside ours";
    EXPECT_TRUE(contains("no homologs: sequence only")) << "where the alignments came from";
    EXPECT_TRUE(contains("without sequences of the training part"));
    EXPECT_TRUE(contains("prefers-color-scheme:dark"));
    EXPECT_TRUE(contains("@media print"));
}

TEST(Report, EscapesWhatItIsGiven) {
    EXPECT_TRUE(contains("labels of 2% of the residues are missing &amp; &quot;masked&quot; &lt;sic&gt;"));
    EXPECT_FALSE(contains("<sic>"));
}

TEST(Report, EveryDownloadHoldsItsFigure) {
    auto const figure_tsv = page().find("download=\"summary.tsv\"");
    ASSERT_NE(figure_tsv, std::string::npos);
    EXPECT_NE(page().find("task%09metric%09arm%09value%09low%09high%09published%0Asecondary_structure%09Q3%09onehot%09",
                          figure_tsv),
              std::string::npos);
}

TEST(Report, OfMergedRunsIsWellFormedToo) {
    auto const small =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    auto const merged = merge_results({small, small}, {"a & b", "c"});
    auto const html = report_html(merged, analyse(merged, quick()));
    EXPECT_EQ(complaint_about(html), "");
    EXPECT_NE(html.find("msa [a &amp; b]"), std::string::npos);
}

TEST(Report, OfAResultWithoutTasksStillSaysSo) {
    Result empty;
    auto const html = report_html(empty, analyse(empty, quick()));
    EXPECT_EQ(complaint_about(html), "");
    EXPECT_NE(html.find("No arm has a defined result."), std::string::npos);
}

TEST(Outputs, AreWrittenTogetherAndReadBackTheSame) {
    TemporaryDirectory const folder;
    auto const small =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    testing::internal::CaptureStdout();
    write_outputs(folder.path(), small, quick());
    std::string const printed = testing::internal::GetCapturedStdout();
    auto const analysis = analyse(small, quick());
    EXPECT_EQ(printed, summary_text(small, analysis));
    EXPECT_EQ(read_text(folder.path() / "table.tsv"), summary_tsv(small, analysis));
    auto const again = read_result(folder.path() / "result.json");
    EXPECT_EQ(report_html(again, analyse(again, quick())), read_text(folder.path() / "report.html"))
        << "rebuilt from JSON alone";
    for (auto const& figure : make_figures(small, analysis)) {
        EXPECT_EQ(read_text(folder.path() / "figures" / (figure.id + ".tsv")), figure.tsv);
        EXPECT_EQ(read_text(folder.path() / "figures" / (figure.id + "-0.svg")), figure.panels[0].drawing.file());
    }
    auto const statistics = nlohmann::json::parse(read_text(folder.path() / "statistics.json"));
    auto const& first = statistics.at("tasks").at(0);
    EXPECT_EQ(first.at("differences").size(), analysis.tasks[0].differences.size());
    EXPECT_EQ(first.at("differences").at(0).at("p_holm").get<double>(), analysis.tasks[0].differences[0].p_holm);
    EXPECT_EQ(first.at("calibrations").at(0).at("error").at("value").get<double>(),
              analysis.tasks[0].calibrations[0].error.value);
    EXPECT_EQ(statistics.at("verdict").get<std::string>(), make_verdict(small, analysis).headline);
}

/// A result that stands alone, without the file of times beside it, or with that of another result.
TEST(Outputs, ReadWithoutTheirManifestToo) {
    TemporaryDirectory const folder;
    auto small =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    auto const file = folder.path() / "result.json", manifest = folder.path() / "result.json.manifest.json";
    write_result(file, small);
    std::string const bytes = read_text(file);
    EXPECT_EQ(read_result(file).tasks[0].runs[0].head_seconds, 3.5);
    EXPECT_EQ(read_result(file).manifest.started, "2026-01-02T03:04:05Z");
    small.manifest.started = "2027-01-01T00:00:00Z", small.manifest.argv.push_back("--threads=7");
    small.tasks[0].runs[0].head_seconds = 99;
    write_result(file, small);
    EXPECT_EQ(read_text(file), bytes) << "neither command line nor times are in it";
    EXPECT_EQ(read_result(file).tasks[0].runs[0].head_seconds, 99);
    small.preset = "full";
    write_text(file, to_json(small).dump()); // the manifest beside it is that of another result now
    EXPECT_EQ(read_result(file).manifest.argv, small.manifest.argv);
    std::filesystem::remove(manifest);
    write_text(file, bytes);
    EXPECT_TRUE(std::isnan(read_result(file).tasks[0].runs[0].head_seconds));
    EXPECT_TRUE(read_result(file).manifest.argv.empty());
}

} // namespace
} // namespace tape
