#include "compare/analysis_groups.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

namespace tape {

namespace {

constexpr std::size_t least_group = 10;
constexpr double least_depth_ratio = 1.5; ///< between the deepest and the shallowest alignment of a task
constexpr double least_length_ratio = 1.5;

using Groups = std::vector<std::vector<std::size_t>>;
using Pairs = std::span<std::array<std::size_t, 2> const>;

double mean_metric(std::vector<ExampleScores> const& runs) {
    double sum = 0;
    for (auto const& run : runs) sum += evaluate(run);
    return sum / static_cast<double>(runs.size());
}

std::string short_number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, value < 10 && value != std::floor(value) ? "%.1f" : "%.0f", value);
    return text;
}

/// Cuts sorted examples into `count` groups of like size; equal values stay together.
Groups quantile_groups(std::vector<double> const& values, std::size_t count) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] < values[b]; });
    Groups groups;
    for (std::size_t begin = 0, g = 0; begin < order.size() && g < count; ++g) {
        std::size_t end = std::max(begin + 1, order.size() * (g + 1) / count);
        while (end < order.size() && values[order[end]] == values[order[end - 1]]) ++end;
        groups.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(begin),
                            order.begin() + static_cast<std::ptrdiff_t>(end));
        begin = end;
    }
    // Ties can leave a group too small to say anything: it goes to its smaller neighbour.
    for (std::size_t g = 0; groups.size() > 1 && g < groups.size();) {
        if (groups[g].size() >= least_group) {
            ++g;
            continue;
        }
        bool const back = g + 1 == groups.size() || (g > 0 && groups[g - 1].size() <= groups[g + 1].size());
        std::size_t const to = back ? g - 1 : g;
        groups[to].insert(groups[to].end(), groups[to + 1].begin(), groups[to + 1].end());
        groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(to + 1));
        g = to;
    }
    return groups;
}

/// What a grouping is made of.
struct Grouping {
    std::string attribute, title;
    bool ordered = true;
    Groups groups;
    std::vector<std::string> labels; ///< of the groups; made from the values where empty
    std::vector<double> values;      ///< of the examples, where there are any
};

std::size_t five_at_most(std::size_t examples) { return std::min<std::size_t>(5, examples / least_group); }

/// Depth of the alignment, from the first arm that has one which varies.
std::optional<Grouping> by_depth(TaskResult const& task, std::span<Arm const> arms) {
    for (auto const& arm : arms) {
        auto const found = task.evidence.find(arm.name);
        if (found == task.evidence.end() || found->second.depth.empty()) continue;
        std::vector<double> const depth{found->second.depth.begin(), found->second.depth.end()};
        auto groups = quantile_groups(depth, five_at_most(depth.size()));
        if (groups.size() < 2) continue;
        // Variants of one protein share an alignment but for their own row: nothing to tell apart by depth.
        if (std::ranges::max(depth) < least_depth_ratio * std::ranges::min(depth)) continue;
        return Grouping{"depth", "effective sequences (Neff at 80% identity)", true, std::move(groups), {}, depth};
    }
    return std::nullopt;
}

std::optional<Grouping> by_length(TaskResult const& task) {
    std::vector<double> lengths;
    for (auto const& example : task.examples) lengths.push_back(static_cast<double>(example.residues.size()));
    if (lengths.empty() || std::ranges::max(lengths) < least_length_ratio * std::ranges::min(lengths))
        return std::nullopt;
    return Grouping{"length", "residues", true, quantile_groups(lengths, five_at_most(lengths.size())), {}, lengths};
}

/// Examples by a name each; those without one are left out.
template <typename NameOf>
Grouping by_name(TaskResult const& task, std::string attribute, std::string title, NameOf const& name_of) {
    std::map<std::string, std::vector<std::size_t>> named;
    for (std::size_t i = 0; i < task.examples.size(); ++i)
        if (auto name = name_of(task.examples[i]); !name.empty()) named[std::move(name)].push_back(i);
    Grouping grouping{std::move(attribute), std::move(title), false, {}, {}, {}};
    for (auto& [name, examples] : named)
        grouping.labels.push_back(name), grouping.groups.push_back(std::move(examples));
    return grouping;
}

Grouping by_structure(TaskResult const& task) {
    if (task.task.kind == TaskKind::residue_class)
        return by_name(task, "structure", "structural class",
                       [&](TestExample const& example) { return structural_class(task.task, example); });
    return by_name(task, "structure", "topology", [](TestExample const& example) {
        auto const found = example.attributes.find("topology");
        return found == example.attributes.end() ? std::string{} : found->second;
    });
}

/// Identity with the closest training protein, in steps that mean something to a biologist.
std::optional<Grouping> by_identity(TaskResult const& task) {
    auto const found = std::ranges::find(task.relatives, "training", &Relatives::set);
    if (found == task.relatives.end()) return std::nullopt;
    static constexpr double bounds[] = {0, 0.3, 0.5, 0.9};
    static char const* const labels[] = {"none found", "<30%",
                                         "30\xE2\x80\x93"
                                         "50%",
                                         "50\xE2\x80\x93"
                                         "90%",
                                         "\xE2\x89\xA5"
                                         "90%"};
    Groups groups(5);
    for (std::size_t i = 0; i < found->identity.size(); ++i) {
        double const identity = found->identity[i];
        std::size_t step = identity > 0;
        while (step > 0 && step < 4 && identity >= bounds[step]) ++step;
        groups[step].push_back(i);
    }
    Grouping grouping{"identity", "identity with the closest training protein", true, {}, {}, {}};
    for (std::size_t g = 0; g < groups.size(); ++g)
        if (groups[g].size() >= least_group)
            grouping.groups.push_back(std::move(groups[g])), grouping.labels.emplace_back(labels[g]);
    return grouping;
}

/// Small whole numbers keep a group each; the sparse tail is put together.
std::optional<Grouping> by_mutations(TaskResult const& task) {
    std::vector<double> mutations;
    for (auto const& example : task.examples) {
        auto const found = example.attributes.find("num_mutations");
        if (found == example.attributes.end()) return std::nullopt;
        mutations.push_back(std::strtod(found->second.c_str(), nullptr));
    }
    std::map<double, std::vector<std::size_t>> exact;
    for (std::size_t i = 0; i < mutations.size(); ++i) exact[mutations[i]].push_back(i);
    Groups groups;
    std::size_t const enough = std::max<std::size_t>(30, mutations.size() / 100);
    for (auto& [count, examples] : exact) {
        if (!groups.empty() && (examples.size() < enough || groups.back().size() < enough))
            groups.back().insert(groups.back().end(), examples.begin(), examples.end());
        else
            groups.push_back(std::move(examples));
    }
    return Grouping{"num_mutations", "mutations away from the wild type", true, std::move(groups), {}, mutations};
}

GroupedEstimates::Group estimate_group(Grouping const& grouping, std::size_t index, ScoreTable const& table,
                                       Pairs pairs, ResamplingOptions const& options) {
    auto const& examples = grouping.groups[index];
    GroupedEstimates::Group group;
    group.examples = examples.size();
    if (grouping.values.empty()) {
        group.low = group.high = std::numeric_limits<double>::quiet_NaN();
    } else {
        auto const of = [&](std::size_t i) { return grouping.values[i]; };
        group.low = of(std::ranges::min(examples, {}, of));
        group.high = of(std::ranges::max(examples, {}, of));
    }
    group.label = !grouping.labels.empty()  ? grouping.labels[index]
                  : group.low == group.high ? short_number(group.low)
                                            : short_number(group.low) + "\xE2\x80\x93" + short_number(group.high);
    auto estimates = estimate_subset(table, examples, pairs, options);
    group.arms = std::move(estimates.arms);
    group.gaps = std::move(estimates.gaps);
    return group;
}

} // namespace

ScoreTable subset(ScoreTable const& table, std::span<std::size_t const> examples) {
    ScoreTable part = table;
    for (std::size_t arm = 0; arm < table.size(); ++arm)
        for (std::size_t s = 0; s < table[arm].size(); ++s) {
            auto& run = part[arm][s];
            run.first.clear(), run.second.clear();
            for (std::size_t const i : examples)
                run.first.push_back(table[arm][s].first[i]), run.second.push_back(table[arm][s].second[i]);
        }
    return part;
}

SubsetEstimates estimate_subset(ScoreTable const& table, std::span<std::size_t const> examples, Pairs pairs,
                                ResamplingOptions const& options) {
    ScoreTable const part = subset(table, examples);
    auto const replicates = bootstrap({&part, 1}, options)[0];
    SubsetEstimates estimates;
    std::vector<double> values;
    for (std::size_t arm = 0; arm < part.size(); ++arm) {
        values.push_back(mean_metric(part[arm]));
        estimates.arms.push_back(percentile_interval(values.back(), replicates[arm], options.level));
    }
    for (auto const& [a, b] : pairs) {
        std::vector<double> differences(replicates[a].size());
        for (std::size_t r = 0; r < differences.size(); ++r) differences[r] = replicates[a][r] - replicates[b][r];
        estimates.gaps.push_back(percentile_interval(values[a] - values[b], std::move(differences), options.level));
    }
    return estimates;
}

std::vector<GroupedEstimates> group_examples(TaskResult const& task, std::span<Arm const> arms, ScoreTable const& table,
                                             Pairs pairs, ResamplingOptions const& options) {
    std::vector<Grouping> groupings;
    auto const add = [&](std::optional<Grouping> grouping) {
        if (!grouping) return;
        std::erase_if(grouping->groups, [](auto const& group) { return group.size() < least_group; });
        if (grouping->groups.size() >= 2) groupings.push_back(std::move(*grouping));
    };
    add(by_depth(task, arms));
    add(by_mutations(task));
    add(by_length(task));
    auto structure = by_structure(task);
    for (std::size_t g = structure.groups.size(); g-- > 0;) // labels go with their groups
        if (structure.groups[g].size() < least_group)
            structure.labels.erase(structure.labels.begin() + static_cast<std::ptrdiff_t>(g)),
                structure.groups.erase(structure.groups.begin() + static_cast<std::ptrdiff_t>(g));
    add(std::move(structure));
    add(by_identity(task));
    std::vector<GroupedEstimates> result;
    for (auto const& grouping : groupings) {
        auto& estimates = result.emplace_back();
        estimates.attribute = grouping.attribute, estimates.title = grouping.title,
        estimates.ordered = grouping.ordered;
        for (std::size_t g = 0; g < grouping.groups.size(); ++g)
            estimates.groups.push_back(estimate_group(grouping, g, table, pairs, options));
    }
    return result;
}

std::vector<LeakAudit> audit_leaks(TaskResult const& task, ScoreTable const& table, Pairs pairs,
                                   ResamplingOptions const& options) {
    std::vector<LeakAudit> audits;
    for (auto const& relatives : task.relatives) {
        LeakAudit audit;
        audit.set = relatives.set, audit.name = relatives.name, audit.coverage = relatives.coverage;
        std::vector<std::size_t> clean;
        std::vector<float> sorted = relatives.identity;
        std::ranges::sort(sorted);
        for (std::size_t i = 0; i < relatives.identity.size(); ++i) {
            if (relatives.identity[i] < audit.least_identity) clean.push_back(i);
            audit.identical += relatives.identity[i] == 1;
        }
        if (!sorted.empty()) {
            audit.median = sorted[(sorted.size() - 1) / 2];
            audit.upper_quartile = sorted[(sorted.size() - 1) * 3 / 4];
        }
        audit.leaked = relatives.identity.size() - clean.size();
        if (audit.leaked > 0 && clean.size() >= least_group) {
            auto estimates = estimate_subset(table, clean, pairs, options);
            audit.without = std::move(estimates.arms), audit.gaps_without = std::move(estimates.gaps);
        }
        audits.push_back(std::move(audit));
    }
    return audits;
}

std::string structural_class(Task const& task, TestExample const& example) {
    double helix = 0, strand = 0, labelled = 0;
    auto const& names = task.class_names;
    if (std::ranges::find(names, "H") == names.end() || std::ranges::find(names, "E") == names.end()) return {};
    for (auto const label : example.residue_labels) {
        if (label < 0 || static_cast<std::size_t>(label) >= names.size()) continue;
        std::string const& state = names[static_cast<std::size_t>(label)];
        labelled += 1;
        helix += state == "H" || state == "G" || state == "I";
        strand += state == "E" || state == "B";
    }
    if (labelled == 0) return {};
    bool const alpha = helix >= 0.15 * labelled, beta = strand >= 0.1 * labelled;
    return alpha && beta ? "mixed" : alpha ? "all-alpha" : beta ? "all-beta" : "irregular";
}

} // namespace tape
