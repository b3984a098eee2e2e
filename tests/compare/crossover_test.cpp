#include "compare/analysis_groups.hpp"
#include "compare/crossover.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tape {
namespace {

/// Three groups whose gaps have the intervals given.
GroupedEstimates grouping_of(std::vector<std::vector<Interval>> const& gaps) {
    GroupedEstimates grouping{.attribute = "depth", .title = "Neff", .ordered = true, .groups = {}};
    char const* const labels[] = {"1-4", "5-20", "21-90"};
    for (std::size_t g = 0; g < gaps.size(); ++g)
        grouping.groups.push_back(
            {.label = labels[g], .low = 0, .high = 0, .examples = 20, .arms = {}, .gaps = gaps[g]});
    return grouping;
}

std::string sentences_of(GroupedEstimates grouping, bool headline = false) {
    Result result;
    result.tasks.emplace_back().task.title = "Contacts (P@L/5)";
    Analysis analysis;
    auto& task = analysis.tasks.emplace_back();
    task.gaps = {{"transformer", "msa", Question::sources}, {"msa+transformer", "msa", Question::joined}};
    task.groupings.push_back(std::move(grouping));
    return headline ? crossover_headline(result, analysis) : crossover_sentences(result, analysis).at(0);
}

constexpr Interval up{.1, .05, .15}, down{-.1, -.15, -.05}, open_gap{.01, -.02, .03};

TEST(Crossover, IsSeenWhereBothSignsAre) {
    auto const grouping = grouping_of({{up, open_gap}, {open_gap, up}, {down, open_gap}});
    EXPECT_TRUE(find_crossover(grouping, 0).seen());
    EXPECT_FALSE(find_crossover(grouping, 1).seen());
    EXPECT_EQ(
        sentences_of(grouping),
        "Contacts: by alignment depth transformer is ahead of msa at 1-4 and behind at 21-90, they cross; the union "
        "adds by alignment depth at 5-20, most at 5-20 (+0.100 [+0.050, +0.150]).");
    EXPECT_EQ(sentences_of(grouping, true),
              "The language model overtakes the alignment, or falls behind it, within these of "
              "1 grouping: Contacts by alignment depth.");
}

TEST(Crossover, IsDeniedInWords) {
    auto const behind = grouping_of({{down, open_gap}, {open_gap, open_gap}, {down, open_gap}});
    EXPECT_EQ(sentences_of(behind),
              "Contacts: by alignment depth no crossover, transformer is behind msa in 2 of 3 groups; the "
              "union adds nothing that can be told in any group.");
    EXPECT_EQ(sentences_of(behind, true),
              "No crossover is seen: in none of 1 grouping is the language model ahead of the "
              "alignment in some groups of proteins and behind in others.");
    EXPECT_EQ(sentences_of(grouping_of({{open_gap, up}, {open_gap, open_gap}})),
              "Contacts: by alignment depth no crossover, told apart in none of 2 groups; the union adds by alignment "
              "depth at "
              "1-4, most at 1-4 (+0.100 [+0.050, +0.150]).");
}

TEST(Groups, FollowEveryAttributeTheTaskHas) {
    auto result =
        test::synthetic_result({.residue_proteins = 120, .pair_proteins = 6, .class_proteins = 40, .variants = 200});
    auto& task = result.tasks[0];
    // Each third of the proteins all helix, all strand, or half and half.
    for (std::size_t i = 0; i < task.examples.size(); ++i)
        for (std::size_t r = 0; r < task.examples[i].residue_labels.size(); ++r)
            task.examples[i].residue_labels[r] = static_cast<std::int16_t>(i % 3 == 2 ? r % 2 : i % 3); // H, E
    Relatives training{.set = "training", .name = "500 training proteins", .coverage = .8, .identity = {}};
    for (std::size_t i = 0; i < task.examples.size(); ++i)
        training.identity.push_back(i < 60 ? 0 : i < 90 ? .35F : .95F);
    task.relatives = {training};
    ResamplingOptions options;
    options.resamples = 100, options.permutations = 100;
    auto const analysis = analyse(result, options);
    auto const& groupings = analysis.tasks[0].groupings;
    std::vector<std::string> attributes;
    for (auto const& grouping : groupings) {
        attributes.push_back(grouping.attribute);
        for (auto const& group : grouping.groups) {
            EXPECT_EQ(group.gaps.size(), 2U);
            EXPECT_GE(group.examples, 10U);
        }
    }
    EXPECT_EQ(attributes, (std::vector<std::string>{"depth", "length", "structure", "identity"}));
    EXPECT_EQ(groupings[2].groups.size(), 3U);
    EXPECT_EQ(groupings[2].groups[0].label, "all-alpha");
    EXPECT_EQ(groupings[2].groups[0].examples, 40U);
    EXPECT_EQ(groupings[2].groups[2].label, "mixed");
    std::vector<std::string> labels;
    for (auto const& group : groupings[3].groups) labels.push_back(group.label);
    EXPECT_EQ(labels, (std::vector<std::string>{"none found", "30\u201350%", "\u226590%"}));

    // A group's paired difference is that of its arms.
    auto const& group = groupings[0].groups[1];
    auto const arm = [&](std::string const& name) {
        return static_cast<std::size_t>(std::ranges::find(analysis.tasks[0].arms, name, &ArmEstimate::arm) -
                                        analysis.tasks[0].arms.begin());
    };
    Gap const& gap = analysis.tasks[0].gaps[0];
    EXPECT_EQ(gap.a, "transformer");
    EXPECT_EQ(gap.b, "msa");
    EXPECT_NEAR(group.gaps[0].value, group.arms[arm(gap.a)].value - group.arms[arm(gap.b)].value, 1e-12);

    // Leaks: those from 30% on are left out, and the rest is the metric of the rest.
    auto const& audit = analysis.tasks[0].leaks.at(0);
    EXPECT_EQ(audit.leaked, 60U);
    EXPECT_EQ(audit.identical, 0U);
    EXPECT_FLOAT_EQ(static_cast<float>(audit.upper_quartile), .35F);
    auto rest = result;
    auto& left = rest.tasks[0];
    left.examples.resize(60);
    left.relatives.clear();
    for (auto& [name, row] : left.evidence) row.depth.resize(60);
    for (auto& run : left.runs) run.predictions.resize(60);
    auto const alone = analyse(rest, options);
    for (std::size_t a = 0; a < audit.without.size(); ++a) {
        EXPECT_NEAR(audit.without[a].value, alone.tasks[0].arms[a].metrics[0].interval.value, 1e-12);
        EXPECT_NEAR(audit.without[a].low, alone.tasks[0].arms[a].metrics[0].interval.low, 1e-12) << "same draws";
    }
}

TEST(StructuralClass, FollowsNakashimasBounds) {
    Task task;
    task.kind = TaskKind::residue_class;
    task.class_names = {"H", "E", "C"};
    auto const named = [&](int helix, int strand) {
        TestExample example;
        for (int r = 0; r < 100; ++r)
            example.residue_labels.push_back(static_cast<std::int16_t>(r < helix ? 0 : r < helix + strand ? 1 : 2));
        return structural_class(task, example);
    };
    EXPECT_EQ(named(15, 9), "all-alpha");
    EXPECT_EQ(named(14, 10), "all-beta");
    EXPECT_EQ(named(15, 10), "mixed");
    EXPECT_EQ(named(14, 9), "irregular");
    task.class_names = {"buried", "exposed"};
    EXPECT_EQ(named(50, 50), "");
}

} // namespace
} // namespace tape
