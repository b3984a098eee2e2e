#include "compare/crossover.hpp"

#include "compare/svg.hpp"

#include <algorithm>
#include <cmath>

namespace tape {

namespace {

std::string interval_text(Interval const& i) {
    return signed_number(i.value) + " [" + signed_number(i.low) + ", " + signed_number(i.high) + "]";
}

/// "1-4 and 8-20"
std::string labels_of(GroupedEstimates const& grouping, std::vector<std::size_t> const& groups) {
    std::string text;
    for (std::size_t k = 0; k < groups.size(); ++k)
        text += (k == 0 ? "" : k + 1 == groups.size() ? " and " : ", ") + grouping.groups[groups[k]].label;
    return text;
}

std::string attribute_text(std::string const& attribute) {
    if (attribute == "depth") return "alignment depth";
    if (attribute == "num_mutations") return "number of mutations";
    if (attribute == "identity") return "identity to training";
    return attribute;
}

std::string model_text(Gap const& gap, GroupedEstimates const& grouping, Crossover const& crossover) {
    std::string const of = " of " + std::to_string(crossover.groups) + " groups";
    if (crossover.seen())
        return gap.a + " is ahead of " + gap.b + " at " + labels_of(grouping, crossover.ahead) + " and behind at " +
               labels_of(grouping, crossover.behind) + ": they cross";
    if (crossover.ahead.empty() && crossover.behind.empty())
        return "no crossover is seen; " + gap.a + " and " + gap.b + " cannot be told apart in any" + of;
    bool const ahead = crossover.behind.empty();
    auto const& decided = ahead ? crossover.ahead : crossover.behind;
    return "no crossover is seen; " + gap.a + " is " + (ahead ? "ahead of " : "behind ") + gap.b + " in " +
           std::to_string(decided.size()) + of + (decided.size() < crossover.groups ? ", the others are open" : "");
}

std::string union_text(GroupedEstimates const& grouping, Crossover const& crossover, std::size_t gap) {
    if (crossover.ahead.empty()) return "the union adds nothing that can be told in any group";
    auto const best = *std::ranges::max_element(crossover.ahead, {},
                                                [&](std::size_t g) { return grouping.groups[g].gaps[gap].value; });
    return "the union adds at " + labels_of(grouping, crossover.ahead) + ", most at " + grouping.groups[best].label +
           " (" + interval_text(grouping.groups[best].gaps[gap]) + ")";
}

} // namespace

Crossover find_crossover(GroupedEstimates const& grouping, std::size_t gap) {
    Crossover crossover{.ahead = {}, .behind = {}, .groups = grouping.groups.size()};
    for (std::size_t g = 0; g < grouping.groups.size(); ++g) {
        Interval const& interval = grouping.groups[g].gaps.at(gap);
        if (interval.low > 0) crossover.ahead.push_back(g);
        if (interval.high < 0) crossover.behind.push_back(g);
    }
    return crossover;
}

std::vector<std::string> crossover_sentences(Result const& result, Analysis const& analysis) {
    std::vector<std::string> sentences;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        auto const title = result.tasks[t].task.title.substr(0, result.tasks[t].task.title.find(" ("));
        for (auto const& grouping : task.groupings) {
            if (!grouping.ordered || task.gaps.empty()) continue;
            std::string text = title + " by " + attribute_text(grouping.attribute) + ": ";
            for (std::size_t k = 0; k < task.gaps.size(); ++k) {
                auto const crossover = find_crossover(grouping, k);
                text += (k > 0 ? "; " : "") + (task.gaps[k].question == Question::joined
                                                   ? union_text(grouping, crossover, k)
                                                   : model_text(task.gaps[k], grouping, crossover));
            }
            sentences.push_back(text + ".");
        }
    }
    return sentences;
}

} // namespace tape
