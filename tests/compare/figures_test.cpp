#include "compare/figures.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace tape {
namespace {

Result const& result() {
    static Result const made =
        test::synthetic_result({.residue_proteins = 40, .pair_proteins = 20, .class_proteins = 40, .variants = 200});
    return made;
}

Analysis const& analysis() {
    static Analysis const made = [] {
        ResamplingOptions options;
        options.resamples = 100;
        options.permutations = 100;
        return analyse(result(), options);
    }();
    return made;
}

std::size_t rows_of(std::string const& tsv) {
    return static_cast<std::size_t>(std::count(tsv.begin(), tsv.end(), '\n')) - 1;
}

std::size_t occurrences(std::string const& text, std::string const& part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

TEST(Figures, AreAllThereWithTheirData) {
    std::vector<std::string> ids;
    for (auto const& figure : make_figures(result(), analysis())) {
        ids.push_back(figure.id);
        EXPECT_FALSE(figure.title.empty());
        EXPECT_FALSE(figure.caption.empty());
        EXPECT_GT(rows_of(figure.tsv), 0U) << figure.id;
        std::istringstream lines{figure.tsv};
        std::string header;
        std::getline(lines, header);
        for (std::string line; std::getline(lines, line);)
            ASSERT_EQ(std::count(line.begin(), line.end(), '\t'), std::count(header.begin(), header.end(), '\t'))
                << figure.id << ": " << line;
        for (auto const& panel : figure.panels) {
            std::string const svg = panel.drawing.markup("x");
            EXPECT_NE(svg.find("role=\"img\" aria-labelledby=\"x-t x-d\""), std::string::npos);
            EXPECT_NE(svg.find("<title id=\"x-t\">"), std::string::npos);
            EXPECT_EQ(svg.find("nan"), std::string::npos) << figure.id;
            EXPECT_EQ(svg.find("inf"), std::string::npos) << figure.id;
        }
    }
    EXPECT_EQ(ids, (std::vector<std::string>{"summary", "differences", "crossover", "groups", "calibration", "contacts",
                                             "tsne", "mutations", "entropy", "alignment"}));
}

TEST(Figures, WithoutDataAreLeftOut) {
    Result bare = result();
    bare.contact_maps.clear();
    bare.embeddings.clear();
    bare.positions.clear();
    auto const figures = make_figures(bare, analysis());
    ASSERT_EQ(figures.size(), 5U);
    EXPECT_EQ(figures[4].id, "calibration");
}

TEST(SummaryFigure, HasARowForEveryArm) {
    auto const figure = summary_figure(result(), analysis());
    EXPECT_EQ(figure.panels.size(), 6U);
    EXPECT_EQ(rows_of(figure.tsv), 36U);
    std::string const svg = figure.panels[0].drawing.markup("x");
    EXPECT_EQ(occurrences(svg, "class=\"interval"), 6U);
    EXPECT_EQ(occurrences(svg, "class=\"published\""), 4U) << "onehot, msa, transformer and unirep have published rows";
    EXPECT_EQ(occurrences(svg, "class=\"open"), 1U) << "transformer@random";
}

TEST(DifferenceFigure, FillsOnlyWhatIsSignificant) {
    auto const figure = difference_figure(result(), analysis());
    std::size_t open = 0, drawn_open = 0;
    for (auto const& task : analysis().tasks)
        for (auto const& d : task.differences) open += !d.significant();
    for (auto const& panel : figure.panels) drawn_open += occurrences(panel.drawing.markup("x"), "class=\"open");
    EXPECT_EQ(drawn_open, open);
    EXPECT_EQ(rows_of(figure.tsv), 60U);
}

TEST(ContactFigure, CountsHitsAsTheTruthDoes) {
    auto const figure = contact_figure(result());
    ASSERT_EQ(figure.panels.size(), 12U) << "two proteins, six arms";
    auto const& example = result().tasks[2].examples[0];
    std::string const prefix = example.id + "\tmsa\t";
    std::size_t listed = 0, hits = 0;
    std::istringstream lines{figure.tsv};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(prefix)) continue;
        ++listed;
        hits += line.ends_with("\t1");
    }
    EXPECT_EQ(listed, example.residues.size()) << "the L most probable";
    std::string const heading =
        example.id + ", msa: " + fixed_number(100.0 * static_cast<double>(hits) / static_cast<double>(listed), 0) +
        "% hits";
    auto const panel =
        std::find_if(figure.panels.begin(), figure.panels.end(), [&](Panel const& p) { return p.heading == heading; });
    ASSERT_NE(panel, figure.panels.end()) << heading;
    // One cell a prediction above the diagonal, one a true contact below it.
    EXPECT_EQ(occurrences(panel->drawing.markup("x"), "h1v1h-1z"), listed + example.contacts.size());
}

TEST(CrossoverFigure, DrawsBothGapsOfEveryGroup) {
    auto const figure = crossover_figure(result(), analysis());
    std::size_t panels = 0, rows = 0;
    for (auto const& task : analysis().tasks)
        for (auto const& grouping : task.groupings) ++panels, rows += 2 * grouping.groups.size();
    EXPECT_EQ(figure.panels.size(), panels);
    EXPECT_EQ(rows_of(figure.tsv), rows);
    std::size_t dots = 0;
    for (auto const& panel : figure.panels) dots += occurrences(panel.drawing.markup("x"), "<circle");
    EXPECT_EQ(dots, rows);
}

TEST(CalibrationFigure, DrawsTheBinsThatHoldAnswers) {
    auto const figure = calibration_figure(result(), analysis());
    ASSERT_EQ(figure.panels.size(), 4U) << "classifiers only";
    std::size_t filled = 0;
    for (auto const& calibration : analysis().tasks[0].calibrations)
        for (auto const& bin : calibration.bins) filled += bin.answers > 0;
    EXPECT_EQ(occurrences(figure.panels[0].drawing.markup("x"), "<circle"), filled);
    EXPECT_EQ(rows_of(figure.tsv), 4U * 6 * 10);
}

TEST(MutationFigure, DrawsEveryCount) {
    auto const figure = mutation_figure(result());
    ASSERT_EQ(figure.panels.size(), 1U);
    EXPECT_EQ(occurrences(figure.panels[0].drawing.markup("x"), "<circle"), 5U);
    EXPECT_EQ(rows_of(figure.tsv), 5U);
}

TEST(TsneFigure, DrawsEveryPointOnce) {
    auto const figure = tsne_figure(result());
    ASSERT_EQ(figure.panels.size(), 4U);
    for (std::size_t p = 0; p < 4; ++p)
        EXPECT_EQ(occurrences(figure.panels[p].drawing.markup("x"), "h0"), result().embeddings[p].points.size());
    EXPECT_EQ(rows_of(figure.tsv), 800U);
}

TEST(EntropyFigure, DrawsThePositionsWithBothNumbers) {
    auto const figure = entropy_figure(result());
    ASSERT_EQ(figure.panels.size(), 2U);
    auto const& positions = result().positions[0];
    std::size_t both = 0;
    for (std::size_t i = 0; i < positions.entropy.size(); ++i)
        both += std::isfinite(positions.entropy[i]) && std::isfinite(positions.mean_single[i]);
    EXPECT_EQ(occurrences(figure.panels[1].drawing.markup("x"), "<circle"), both);
    EXPECT_EQ(figure.panels[1].heading, "Single mutants: Spearman 0.41");
    EXPECT_EQ(rows_of(figure.tsv), 237U);
}

TEST(AlignmentFigure, ColoursTheBiophysicalGroups) {
    Result one = result();
    auto& positions = one.positions[0];
    positions.wild_type = "CAVLIMFWDERKSTNQGHPY-"; // the groups in turn, then the others and a gap
    positions.rows = {positions.wild_type};
    positions.row_ids = {"q"};
    for (auto* values : {&positions.entropy, &positions.mean_value, &positions.mean_single}) values->assign(21, 1.0);
    auto const figure = alignment_figure(one);
    std::string const svg = figure.panels.at(0).drawing.markup("x");
    // Runs of 8, 4, 4 and 4 cells of 8 units, each one path; the gap stays bare.
    EXPECT_NE(svg.find("h64v11.5h-64z\" class=\"hydrophobic\""), std::string::npos);
    EXPECT_NE(svg.find("h32v11.5h-32z\" class=\"charged\""), std::string::npos);
    EXPECT_NE(svg.find("h32v11.5h-32z\" class=\"polar\""), std::string::npos);
    EXPECT_NE(svg.find("h32v11.5h-32z\" class=\"other\""), std::string::npos);
    EXPECT_EQ(occurrences(svg, "v11.5"), 4U);
}

TEST(Numbers, ArePlainAndRounded) {
    EXPECT_EQ(compact_number(1.50), "1.5");
    EXPECT_EQ(compact_number(100), "100");
    EXPECT_EQ(compact_number(-0.001), "0");
    EXPECT_EQ(fixed_number(.12345), "0.123");
    EXPECT_EQ(fixed_number(NAN), "n/a");
    EXPECT_EQ(signed_number(-.5, 1), "\u22120.5");
    EXPECT_EQ(signed_number(.5, 1), "+0.5");
    EXPECT_EQ(signed_number(-.0001), "0.000");
    EXPECT_EQ(escape("<a href='x'>&\"\x01"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    EXPECT_EQ(data_uri("text/plain", "a<b>\"%#&\n"), "data:text/plain;charset=utf-8,a%3Cb%3E%22%25%23%26%0A");
    auto const t = ticks(0, 1, 5);
    ASSERT_EQ(t.size(), 6U);
    EXPECT_NEAR(t[1], .2, 1e-12);
    EXPECT_EQ(ticks(-.03, .07, 4).front(), -.02);
}

} // namespace
} // namespace tape
