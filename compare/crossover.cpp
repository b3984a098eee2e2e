#include "compare/crossover.hpp"

#include "compare/summary.hpp"
#include "compare/svg.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cmath>

namespace tape {

namespace {

/// "1-4 and 8-20"
std::string labels_of(GroupedEstimates const& grouping, std::vector<std::size_t> const& groups) {
    std::vector<std::string> labels;
    for (auto const group : groups) labels.push_back(grouping.groups[group].label);
    return joined(labels);
}

/// "by depth no crossover, A is behind B in 2 of 3 groups"
std::string model_text(Gap const& gap, GroupedEstimates const& grouping, Crossover const& crossover) {
    std::string const by = "by " + attribute_text(grouping.attribute) + " ";
    std::string const of = " of " + std::to_string(crossover.groups) + " groups";
    if (crossover.seen())
        return by + gap.a + " is ahead of " + gap.b + " at " + labels_of(grouping, crossover.ahead) +
               " and behind at " + labels_of(grouping, crossover.behind) + ", they cross";
    if (crossover.ahead.empty() && crossover.behind.empty()) return by + "no crossover, told apart in none" + of;
    bool const ahead = crossover.behind.empty();
    auto const& decided = ahead ? crossover.ahead : crossover.behind;
    return by + "no crossover, " + gap.a + " is " + (ahead ? "ahead of " : "behind ") + gap.b + " in " +
           std::to_string(decided.size()) + of;
}

/// Where the union adds, or nothing.
std::string union_text(GroupedEstimates const& grouping, Crossover const& crossover, std::size_t gap) {
    if (crossover.ahead.empty()) return {};
    auto const best = *std::ranges::max_element(crossover.ahead, {},
                                                [&](std::size_t g) { return grouping.groups[g].gaps[gap].value; });
    Interval const& most = grouping.groups[best].gaps[gap];
    return "by " + attribute_text(grouping.attribute) + " at " + labels_of(grouping, crossover.ahead) + ", most at " +
           grouping.groups[best].label + " (" + signed_interval(most.value, most.low, most.high) + ")";
}

void append(std::string& text, std::string const& part) {
    if (!part.empty()) text += (text.empty() ? "" : "; ") + part;
}

std::string task_sentence(TaskAnalysis const& task) {
    std::string models, unions;
    bool joined = false;
    for (auto const& grouping : task.groupings)
        for (std::size_t k = 0; grouping.ordered && k < task.gaps.size(); ++k) {
            auto const crossover = find_crossover(grouping, k);
            bool const of_union = task.gaps[k].question == Question::joined;
            joined = joined || of_union;
            if (of_union)
                append(unions, union_text(grouping, crossover, k));
            else
                append(models, model_text(task.gaps[k], grouping, crossover));
        }
    if (joined)
        append(models,
               unions.empty() ? "the union adds nothing that can be told in any group" : "the union adds " + unions);
    return models;
}

} // namespace

std::string attribute_text(std::string const& attribute) {
    if (attribute == "depth") return "alignment depth";
    if (attribute == "num_mutations") return "number of mutations";
    if (attribute == "identity") return "identity to training";
    if (attribute == "structure") return "structural class";
    return attribute;
}

Crossover find_crossover(GroupedEstimates const& grouping, std::size_t gap) {
    Crossover crossover{.ahead = {}, .behind = {}, .groups = grouping.groups.size()};
    for (std::size_t g = 0; g < grouping.groups.size(); ++g) {
        Interval const& interval = grouping.groups[g].gaps.at(gap);
        if (interval.low > 0) crossover.ahead.push_back(g);
        if (interval.high < 0) crossover.behind.push_back(g);
    }
    return crossover;
}

std::string crossover_headline(Result const& result, Analysis const& analysis) {
    std::size_t groupings = 0;
    std::string seen;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        if (task.gaps.empty() || task.gaps.front().question != Question::sources) continue;
        for (auto const& grouping : task.groupings) {
            groupings += grouping.ordered;
            if (grouping.ordered && find_crossover(grouping, 0).seen())
                append(seen, short_title(result, t) + " by " + attribute_text(grouping.attribute));
        }
    }
    if (groupings == 0) return {};
    std::string const all = std::to_string(groupings) + (groupings == 1 ? " grouping" : " groupings");
    if (seen.empty())
        return "No crossover is seen: in none of " + all +
               " is the language model ahead of the alignment in some groups "
               "of proteins and behind in others.";
    return "The language model overtakes the alignment, or falls behind it, within these of " + all + ": " + seen + ".";
}

std::vector<std::string> crossover_sentences(Result const& result, Analysis const& analysis) {
    std::vector<std::string> sentences;
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        if (auto const text = task_sentence(analysis.tasks[t]); !text.empty())
            sentences.push_back(short_title(result, t) + ": " + text + ".");
    return sentences;
}

} // namespace tape
