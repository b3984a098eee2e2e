#include "data/dataset.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <unordered_set>

namespace tape {
namespace {

/// TAPE's label order: 0 = helix, 1 = strand, 2 = coil, and DSSP's eight states.
std::vector<std::string> const states3{"H", "E", "C"};
std::vector<std::string> const states8{"G", "H", "I", "B", "E", "S", "T", "C"};
constexpr int scop_folds = 1195; ///< folds of SCOP 1.75 in TAPE's remote homology task

constexpr std::size_t held_out_every = 10;

/// File behind a split, without .xz. Splits of secondary_structure_q8 share files with each other and with CB513.
std::string file_name(Task const& task, std::string const& split) {
    if (task.name == "secondary_structure_q8")
        return split == task.test ? "secondary_structure_cb513.csv" : "secondary_structure_q8_train.csv";
    return task.name + "_" + split + (task.kind == TaskKind::residue_pair ? ".jsonl" : ".csv");
}

std::unordered_set<std::string> sequences_of(Dataset const& dataset) {
    std::unordered_set<std::string> sequences;
    for (Example const& example : dataset.examples) sequences.insert(example.protein.residues);
    return sequences;
}

/// CB513 proteins without 8-state labels have an empty cell there.
Dataset labelled_part_of_cb513(Task const& task) {
    Dataset all = load_split(find_task("secondary_structure"), "cb513");
    Dataset part{task, task.test, all.hash, {}};
    for (Example& example : all.examples) {
        std::string const labels = example.attributes["ss8"];
        if (labels.empty()) continue;
        if (labels.size() != example.protein.residues.size())
            throw data_error{"secondary_structure_cb513.csv: column 'ss8' has " + counted(labels.size(), "label") +
                             " for " + counted(example.protein.residues.size(), "residue") + " (record " +
                             shown(example.protein.id) + ")"};
        for (std::size_t i = 0; i < labels.size(); ++i) {
            auto const state = std::ranges::find(states8, labels.substr(i, 1));
            if (state == states8.end())
                throw data_error{"secondary_structure_cb513.csv: column 'ss8' has " + shown(labels.substr(i, 1)) +
                                 " (record " + shown(example.protein.id) + ")"};
            example.residue_labels[i] = static_cast<std::int16_t>(state - states8.begin());
        }
        example.attributes.erase("ss8");
        part.examples.push_back(std::move(example));
    }
    return part;
}

Dataset q8_split(Task const& task, std::string const& split) {
    Dataset const test = labelled_part_of_cb513(task);
    if (split == task.test) return test;
    Dataset all = read_dataset(task, split, file_of_split(task, split));
    auto const in_test = sequences_of(test);
    auto const held_out = [](std::size_t i) { return i % held_out_every == held_out_every - 1; };
    // Some chains stand in the file twice: their second copy must not be learnt when the first is held out.
    std::unordered_set<std::string> in_valid;
    for (std::size_t i = 0; i < all.examples.size(); ++i)
        if (held_out(i)) in_valid.insert(all.examples[i].protein.residues);
    Dataset part{task, split, content_hash(all.hash + test.hash + split), {}};
    for (std::size_t i = 0; i < all.examples.size(); ++i) {
        std::string const& residues = all.examples[i].protein.residues;
        bool const wanted = split == task.valid ? held_out(i) : !in_valid.contains(residues);
        if (wanted && !in_test.contains(residues)) part.examples.push_back(std::move(all.examples[i]));
    }
    return part;
}

std::filesystem::path beside_the_program() {
    std::error_code problem;
    auto const program = std::filesystem::read_symlink("/proc/self/exe", problem);
    return problem ? std::filesystem::path{} : program.parent_path().parent_path() / "share" / "tape" / "data";
}

} // namespace

std::vector<Task> const& bundled_tasks() {
    static std::vector<Task> const tasks{
        {"secondary_structure", "Secondary structure (Q3)", TaskKind::residue_class, states3, 3, "train", "valid",
         "cb513", "Q3"},
        {"secondary_structure_q8", "Secondary structure (Q8)", TaskKind::residue_class, states8, 8, "train", "valid",
         "cb513", "Q8"},
        {"contact", "Contacts (P@L/5)", TaskKind::residue_pair, {}, 0, "train", "valid", "test_psicov150", "P@L/5"},
        {"remote_homology",
         "Remote homology (accuracy)",
         TaskKind::protein_class,
         {},
         scop_folds,
         "train",
         "valid",
         "test_fold",
         "accuracy"},
        {"fluorescence",
         "Fluorescence (Spearman)",
         TaskKind::protein_value,
         {},
         0,
         "train",
         "valid",
         "test",
         "Spearman"},
        {"stability", "Stability (Spearman)", TaskKind::protein_value, {}, 0, "train", "valid", "test", "Spearman"},
    };
    return tasks;
}

Task const& find_task(std::string const& name) {
    std::vector<std::string> names;
    for (Task const& task : bundled_tasks()) {
        if (task.name == name) return task;
        names.push_back(task.name);
    }
    throw usage_error{"unknown task " + shown(name) + did_you_mean(name, names) + "; the tasks are " + joined(names)};
}

std::vector<std::string> splits_of(Task const& task) { return {task.train, task.valid, task.test}; }

std::filesystem::path file_of_split(Task const& task, std::string const& split) {
    return data_directory() / "tape" / (file_name(task, split) + ".xz");
}

std::filesystem::path data_directory() {
    if (char const* const chosen = std::getenv("TAPE_DATA"); chosen != nullptr && *chosen != '\0') {
        if (std::filesystem::is_directory(chosen)) return chosen;
        throw error{"TAPE_DATA is " + shown(chosen, 200) + ", which is no directory"};
    }
    std::error_code ignored;
    for (auto const& candidate :
         {beside_the_program(), std::filesystem::path{TAPE_INSTALLED_DATA}, std::filesystem::path{TAPE_SOURCE_DATA}})
        if (std::filesystem::is_directory(candidate / "tape", ignored)) return candidate;
    throw error{std::string{"the bundled data are neither in "} + TAPE_INSTALLED_DATA + " nor in " + TAPE_SOURCE_DATA +
                "; set TAPE_DATA to their directory"};
}

Dataset load_split(Task const& task, std::string const& split) {
    auto const splits = splits_of(task);
    if (std::ranges::find(splits, split) == splits.end())
        throw usage_error{"task " + shown(task.name) + " has no split " + shown(split) + did_you_mean(split, splits) +
                          "; it has " + joined(splits)};
    if (!task.file.empty()) return read_dataset(task, split, task.file);
    if (task.name == "secondary_structure_q8") return q8_split(task, split);
    return read_dataset(task, split, file_of_split(task, split));
}

} // namespace tape
