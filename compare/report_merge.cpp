#include "compare/report_merge.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <set>

namespace tape {

namespace {

bool same_example(TestExample const& a, TestExample const& b) {
    return a.id == b.id && a.residues == b.residues && a.residue_labels == b.residue_labels && a.mask == b.mask &&
           a.contacts == b.contacts && a.class_label == b.class_label && a.value == b.value;
}

void rename_arms(Result& result, std::string const& label) {
    auto const renamed = [&](std::string const& name) { return name + " [" + label + "]"; };
    for (auto& arm : result.arms) arm.name = renamed(arm.name), arm.run = label;
    for (auto& task : result.tasks) {
        for (auto& run : task.runs) run.arm = renamed(run.arm);
        std::map<std::string, EvidenceRow> evidence;
        for (auto& [arm, row] : task.evidence) evidence.emplace(renamed(arm), std::move(row));
        task.evidence = std::move(evidence);
        for (auto& note : task.notes) note = label + ": " + note;
    }
    for (auto& map : result.contact_maps) map.arm = renamed(map.arm);
    for (auto& sample : result.embeddings) sample.source = renamed(sample.source);
    for (auto& note : result.notes) note = label + ": " + note;
}

template <typename T> void append(std::vector<T>& to, std::vector<T>& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

void join_task(std::vector<TaskResult>& tasks, TaskResult task, std::string const& label) {
    auto const same_task = [&](TaskResult const& other) { return other.task.name == task.task.name; };
    auto const same_set = [&](TaskResult const& other) { return same_task(other) && same_examples(other, task); };
    if (auto const found = std::find_if(tasks.begin(), tasks.end(), same_set); found != tasks.end()) {
        append(found->runs, task.runs);
        append(found->notes, task.notes);
        found->evidence.merge(task.evidence);
        for (auto& row : task.relatives)
            if (std::ranges::none_of(found->relatives, [&](Relatives const& known) {
                    return known.set == row.set && known.name == row.name;
                }))
                found->relatives.push_back(std::move(row));
        if (found->train_available != task.train_available) found->train_available = 0;
        return;
    }
    if (std::any_of(tasks.begin(), tasks.end(), same_task)) {
        task.task.title += ", " + label;
        task.notes.push_back(label +
                             ": other test examples than in the runs before, so that no difference to them is paired");
    }
    tasks.push_back(std::move(task));
}

} // namespace

bool same_examples(TaskResult const& a, TaskResult const& b) {
    return a.task.kind == b.task.kind && a.task.class_count == b.task.class_count && a.task.metric == b.task.metric &&
           std::equal(a.examples.begin(), a.examples.end(), b.examples.begin(), b.examples.end(), same_example);
}

Result merge_results(std::vector<Result> results, std::vector<std::string> const& labels) {
    if (results.empty()) throw usage_error{"no result to report"};
    if (labels.size() != results.size())
        throw usage_error{std::to_string(labels.size()) + " labels for " + std::to_string(results.size()) + " results"};
    if (std::set<std::string> const distinct{labels.begin(), labels.end()}; distinct.size() != labels.size())
        throw usage_error{"two runs have the same label; name them with --labels A,B"};
    Result merged;
    merged.manifest = results.front().manifest;
    merged.preset = results.front().preset;
    for (std::size_t r = 0; r < results.size(); ++r) {
        Result& result = results[r];
        if (result.preset != merged.preset) merged.preset = "mixed";
        rename_arms(result, labels[r]);
        merged.notes.push_back(labels[r] + ": " + result.manifest.program + " " + result.manifest.version +
                               ", preset " + result.preset + ", started " + result.manifest.started);
        append(merged.arms, result.arms);
        for (auto& task : result.tasks) join_task(merged.tasks, std::move(task), labels[r]);
        append(merged.contact_maps, result.contact_maps);
        if (merged.alignments.empty()) merged.alignments = std::move(result.alignments);
        append(merged.embeddings, result.embeddings);
        if (merged.positions.empty()) merged.positions = std::move(result.positions);
        append(merged.notes, result.notes);
        for (auto const seed : result.seeds)
            if (std::find(merged.seeds.begin(), merged.seeds.end(), seed) == merged.seeds.end())
                merged.seeds.push_back(seed);
    }
    return merged;
}

} // namespace tape
