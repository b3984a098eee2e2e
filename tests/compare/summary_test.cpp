#include "compare/published.hpp"
#include "compare/summary.hpp"
#include "compare/svg.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace tape {
namespace {

Difference made_difference(std::string a, std::string b, Question question, double value, double half, double p) {
    return {.a = std::move(a),
            .b = std::move(b),
            .question = question,
            .interval = {value, value - half, value + half},
            .p = p,
            .p_holm = p,
            .effect = 1,
            .detectable = half,
            .better = 10,
            .worse = 5};
}

/// A result of `tasks` tasks with three arms, and an analysis that says what `differences` say.
struct Story {
    Result result;
    Analysis analysis;

    explicit Story(std::vector<std::vector<Difference>> const& differences) {
        result.preset = "full";
        result.seeds = {1, 2};
        for (auto const* name : {"onehot", "msa", "transformer"}) result.arms.push_back({name, {name}, {name}, {}});
        for (std::size_t t = 0; t < differences.size(); ++t) {
            TaskResult task;
            task.task.name = "task" + std::to_string(t);
            task.task.title = "Task " + std::to_string(t) + " (Spearman)";
            task.task.kind = TaskKind::protein_value;
            result.tasks.push_back(task);
            TaskAnalysis numbers;
            numbers.metrics = metrics_of(task.task);
            numbers.differences = differences[t];
            for (auto const& arm : result.arms)
                numbers.arms.push_back({arm.name, {{"Spearman", {.5, .4, .6}, {.5, .5}}}, {1, 2}, false});
            analysis.tasks.push_back(numbers);
        }
    }
};

TEST(Verdict, SaysWhoWinsOnHowManyTasks) {
    Story const story{{{made_difference("msa", "transformer", Question::sources, .06, .01, .001)},
                       {made_difference("msa", "transformer", Question::sources, -.2, .05, .001)},
                       {made_difference("msa", "transformer", Question::sources, .01, .03, .6)}}};
    auto const verdict = make_verdict(story.result, story.analysis);
    EXPECT_EQ(
        verdict.headline,
        "Of 3 tasks, the alignment (msa) wins 1, the language model (transformer) wins 1; 1 cannot be told apart.");
    ASSERT_EQ(verdict.sentences.size(), 3U);
    EXPECT_EQ(verdict.sentences[0], "msa ahead \u2014 Task 0 +0.060 [+0.050, +0.070].");
    EXPECT_EQ(verdict.sentences[1], "transformer ahead \u2014 Task 1 +0.200 [+0.150, +0.250].");
    EXPECT_EQ(verdict.sentences[2], "Open, msa minus transformer \u2014 Task 2 +0.010 [\u22120.020, +0.040].");
    EXPECT_TRUE(verdict.cautions.empty());
}

TEST(Verdict, SaysWhereTheSequenceAloneIsBest) {
    Story story{{{made_difference("msa", "transformer", Question::sources, .06, .01, .001)},
                 {made_difference("msa", "transformer", Question::sources, .06, .01, .001)}}};
    story.analysis.tasks[1].arms[0].metrics.front().interval.value = .6;
    auto const sentences = make_verdict(story.result, story.analysis).sentences;
    ASSERT_EQ(sentences.size(), 2U);
    EXPECT_EQ(sentences[1], "The sequence alone (onehot) has the highest value on Task 1.");
}

TEST(Verdict, AUnionThatIsWorseHasANegativeDifference) {
    Story const story{{{made_difference("msa+transformer", "msa", Question::joined, -.2, .05, .001)}}};
    auto const sentences = make_verdict(story.result, story.analysis).sentences;
    ASSERT_EQ(sentences.size(), 1U);
    EXPECT_NE(sentences[0].find("worse: Task 0 \u22120.200 [\u22120.250, \u22120.150]"), std::string::npos)
        << sentences[0];
}

TEST(Verdict, IsHonestWhenNothingIsShown) {
    Story const story{
        {{made_difference("msa", "transformer", Question::sources, .06, .1, .3)},
         {made_difference("msa", "transformer", Question::sources, .02, .01, .08)}}}; // interval clear of zero, p not
    EXPECT_EQ(make_verdict(story.result, story.analysis).headline,
              "On 2 tasks the alignment (msa) and the language model (transformer) cannot be told apart.");
}

TEST(Verdict, SaysWhenOneSideWinsEverything) {
    Story const story{{{made_difference("msa", "transformer", Question::sources, -.06, .01, .001)}}};
    EXPECT_EQ(make_verdict(story.result, story.analysis).headline,
              "Language model: the language model (transformer) beats the alignment (msa) on every task, 1 of 1.");
}

TEST(Verdict, WarnsOfQuickPresetSingleSeedConstantHeadsAndLeaks) {
    Story story{{{made_difference("msa", "transformer", Question::sources, .06, .01, .001)}}};
    story.result.preset = "quick";
    story.result.seeds = {1};
    story.result.tasks[0].train_available = 5000;
    story.result.tasks[0].examples.resize(40);
    tape::Run run;
    run.arm = "msa";
    run.train_size = 300;
    story.result.tasks[0].runs.push_back(run);
    for (auto& arm : story.analysis.tasks[0].arms) arm.seeds = {1};
    story.analysis.tasks[0].arms[2].constant = true;
    story.analysis.tasks[0].in_training = 3;
    auto const cautions = make_verdict(story.result, story.analysis).cautions;
    ASSERT_EQ(cautions.size(), 4U);
    EXPECT_EQ(cautions[0],
              "Quick preset: the heads saw few training proteins (Task 0 300 of 5000). This shows that the comparison "
              "runs; it is not a measurement of the published finding.");
    EXPECT_TRUE(cautions[1].starts_with("One seed only"));
    EXPECT_EQ(cautions[2],
              "Task 0 (Spearman): a run of transformer gives every example the same answer; its head has not learnt.");
    EXPECT_EQ(cautions[3], "Task 0 (Spearman): 3 of 40 test sequences also stand in the training part; the details "
                           "repeat the results without them.");
    story.result.tasks[0].train_available = 300; // all that there are
    EXPECT_EQ(make_verdict(story.result, story.analysis).cautions.size(), 3U);
}

TEST(Verdict, WarnsOfRelativesInTheTrainingPart) {
    Story story{{{made_difference("msa", "transformer", Question::sources, .06, .01, .001)}}};
    story.result.seeds = {1, 2};
    story.result.tasks[0].examples.resize(40);
    LeakAudit audit;
    audit.set = "training", audit.leaked = 7, audit.without.resize(story.analysis.tasks[0].arms.size());
    story.analysis.tasks[0].leaks = {audit};
    auto const cautions = make_verdict(story.result, story.analysis).cautions;
    EXPECT_EQ(cautions.back(),
              "Task 0 (Spearman): 7 of 40 test proteins have a relative in the training part (30% identity "
              "over 80% of them); the audit of leaks repeats the results without them.");
    story.analysis.tasks[0].leaks[0].set = "database";
    EXPECT_EQ(make_verdict(story.result, story.analysis).cautions.size() + 1, cautions.size())
        << "what an alignment is made of is no leak of labels";
}

TEST(Verdict, WithoutBothSidesAsksNoQuestion) {
    Story story{{{made_difference("msa", "onehot", Question::baseline, .1, .02, .001)}}};
    auto const verdict = make_verdict(story.result, story.analysis);
    EXPECT_NE(verdict.headline.find("the page's question is not asked"), std::string::npos);
    EXPECT_EQ(verdict.sentences.at(0), "msa against onehot: better on 1 of 1 task (Task 0 +0.100 [+0.080, +0.120]).");
}

std::vector<std::string> lines_of(std::string const& text) {
    std::istringstream in{text};
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

TEST(SummaryText, AlignsItsColumns) {
    Story story{{{made_difference("msa", "transformer", Question::sources, .06, .01, .001)}}};
    story.analysis.tasks[0].arms[1].metrics[0].interval = {.75, .7, .8};
    auto const lines = lines_of(summary_text(story.result, story.analysis));
    ASSERT_GE(lines.size(), 4U);
    EXPECT_EQ(lines[0], "task   metric    onehot                msa                    transformer");
    EXPECT_EQ(lines[1], "task0  Spearman  0.500 [0.400, 0.600]  0.750* [0.700, 0.800]  0.500 [0.400, 0.600]");
    EXPECT_EQ(lines[2], "");
    EXPECT_EQ(lines[3], "Alignment: the alignment (msa) beats the language model (transformer) on every task, 1 of 1.");
}

TEST(SummaryText, ShowsAnArmThatDidNotRunAndAnUndefinedValue) {
    Story story{{{}}};
    story.analysis.tasks[0].arms.erase(story.analysis.tasks[0].arms.begin());
    story.analysis.tasks[0].arms[0].metrics[0].interval = {NAN, NAN, NAN};
    EXPECT_EQ(lines_of(summary_text(story.result, story.analysis)).at(1),
              "task0  Spearman  -       n/a [n/a, n/a]  0.500* [0.400, 0.600]");
}

TEST(SummaryTsv, HoldsEveryMetricOfEveryArm) {
    auto const result =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    ResamplingOptions options;
    options.resamples = 100;
    options.permutations = 100;
    auto const analysis = analyse(result, options);
    auto const lines = lines_of(summary_tsv(result, analysis));
    std::size_t expected = 1;
    for (auto const& task : analysis.tasks) expected += task.arms.size() * task.metrics.size();
    EXPECT_EQ(lines.size(), expected);
    for (auto const& line : lines) EXPECT_EQ(std::count(line.begin(), line.end(), '\t'), 10) << line;
    auto const msa = std::find_if(lines.begin(), lines.end(),
                                  [](auto const& l) { return l.starts_with("secondary_structure\tQ3\tmsa\t"); });
    ASSERT_NE(msa, lines.end());
    EXPECT_TRUE(msa->ends_with("\t3\t12\t500\tconv residue head (128, kernel 5)\t0.80")) << *msa;
}

TEST(SummaryMarkdown, SetsTheArmsBesideThePublishedRows) {
    auto const result =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    ResamplingOptions options;
    options.resamples = options.permutations = 100;
    auto const analysis = analyse(result, options);
    auto const lines = lines_of(summary_markdown(result, analysis));
    ASSERT_EQ(lines.size(), 3 + result.arms.size() + published_rows().size());
    for (auto const& line : lines)
        EXPECT_EQ(std::count(line.begin(), line.end(), '|'), static_cast<long>(result.tasks.size()) + 2) << line;
    EXPECT_TRUE(lines[0].starts_with("| Arm | Secondary structure (Q3) | "));
    auto const& msa = analysis.tasks[0].arms[1];
    ASSERT_EQ(msa.arm, "msa");
    EXPECT_TRUE(lines[4].starts_with("| msa | " + fixed_number(msa.metrics[0].interval.value) + " ["));
    EXPECT_NE(lines[4].find("], n=500 | "), std::string::npos) << lines[4];
    EXPECT_TRUE(lines.back().starts_with("| _TAPE: UniRep"));
}

TEST(Published, HoldsTheTableOfTheAuthorsRepository) {
    auto const row = [](std::string const& arm) {
        auto const& rows = published_rows();
        return *std::find_if(rows.begin(), rows.end(), [&](PublishedRow const& r) { return r.arm == arm; });
    };
    EXPECT_EQ(row("msa").of("contact"), .64);
    EXPECT_EQ(row("transformer").of("fluorescence"), .68);
    EXPECT_EQ(row("onehot").of("stability"), .19);
    EXPECT_EQ(row("msa").of("fluorescence"), std::nullopt) << "not published";
    EXPECT_EQ(row("unirep").of("secondary_structure_q8"), std::nullopt);
}

} // namespace
} // namespace tape
