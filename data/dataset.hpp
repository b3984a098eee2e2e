#pragma once

#include "data/record.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// The four shapes a task can have; each has one head.
enum class TaskKind {
    residue_class, ///< a class per residue (secondary structure)
    residue_pair,  ///< contact or not per residue pair
    protein_class, ///< one class per protein (remote homology)
    protein_value  ///< one number per protein (fluorescence, stability)
};

/// A task of the benchmark and its splits.
struct Task {
    std::string name;  ///< "secondary_structure", ...
    std::string title; ///< "Secondary structure (Q3)"
    TaskKind kind{};
    std::vector<std::string> class_names; ///< residue_class: label letters in label order; protein_class: may be empty
    int class_count = 0;                  ///< residue_class, protein_class
    std::string train, valid, test;       ///< split names, such as "train", "valid", "cb513"
    std::string metric;                   ///< headline metric: "Q3", "Q8", "P@L/5", "accuracy", "Spearman"
    std::string label = {};               ///< tasks of the user's own: column of the labels (see own_task); else empty
    std::filesystem::path file = {};      ///< tasks of the user's own: where all splits are; else empty
};

/// One labelled protein. Only the fields of its task's kind are filled.
struct Example {
    Protein protein;
    std::vector<std::int16_t> residue_labels;      ///< residue_class: L class indices; -1 where unlabelled
    std::vector<std::uint8_t> valid_mask;          ///< residue_class, residue_pair: L flags, 1 = resolved
    std::vector<std::array<float, 3>> ca;          ///< residue_pair: L C-alpha positions, angstrom
    std::vector<std::array<float, 3>> cb;          ///< residue_pair: L C-beta positions where known, else empty
    std::vector<std::array<int, 2>> contacts;      ///< residue_pair without positions: pairs i < j in contact, from 0
    int class_label = -1;                          ///< protein_class
    double value = 0;                              ///< protein_value
    std::map<std::string, std::string> attributes; ///< further columns: num_mutations, topology, parent, ...
};

struct Dataset {
    Task task;
    std::string split;
    std::string hash; ///< content hash of what it was read from
    std::vector<Example> examples;
};

/// The bundled tasks, in the order of the report: secondary_structure, secondary_structure_q8, contact,
/// remote_homology, fluorescence, stability.
std::vector<Task> const& bundled_tasks();

/// @throws usage_error naming the closest task if there is none of that name.
Task const& find_task(std::string const& name);

/// Directory of the bundled data: $TAPE_DATA, else the installed share/tape/data, else the source tree's data/.
/// @throws error if none exists.
std::filesystem::path data_directory();

/// Splits of a bundled task, in the order train, valid, test.
std::vector<std::string> splits_of(Task const& task);

/// File that a split of a bundled task is read from. Several splits may share one file (see load_split).
std::filesystem::path file_of_split(Task const& task, std::string const& split);

struct DatasetOptions {
    /// Called with the message of a bad record, which is then left out; without it, the first bad record is an error.
    std::function<void(std::string const& message)> skip_bad_record = {};
};

/// Reads one split of a bundled task from data_directory()/tape. Strict: a label count that differs from the residue
/// count, an unknown letter, a duplicate id, a missing or misnamed column, a NaN label and a truncated file each raise
/// data_error with file:line, record and value.
///
/// secondary_structure_q8 has one training file: every tenth protein of it (from the tenth on) is the split "valid",
/// the rest is "train". Proteins with the sequence of one in CB513 are left out of both, those with the sequence of one
/// in "valid" out of "train". Its test split is the part of CB513 that has 8-state labels.
/// @throws usage_error naming the splits there are if there is none of that name.
Dataset load_split(Task const& task, std::string const& split);

/// The same from any file in the bundled CSV or JSONL layout (told apart by content; "-" is stdin):
///   residue_class  id, primary, ss3 (H E C or 0 1 2) with valid_mask, or ss8 (GHIBESTC or 0-7) with or without; `-` is
///   unlabelled residue_pair   JSONL: id, primary, tertiary_ca (L x 3, angstrom), valid_mask, tertiary_cb where known
///   protein_class  id, primary, fold_label
///   protein_value  id, primary, log_fluorescence or stability_score
/// or, for tasks of the user's own, that of `own_task`, of which only the records of `split` are taken.
/// JSONL may also be one JSON array of the same objects. Columns beyond these become attributes.
Dataset read_dataset(Task const& task, std::string const& split, std::filesystem::path const& file,
                     DatasetOptions const& options = {});

/// Writes that layout: one CSV, or JSONL for residue_pair and wherever the name says .jsonl. Reading it back gives the
/// same examples (floats are written with the digits that restore them).
void write_dataset(std::ostream& out, Dataset const& dataset, bool as_jsonl);

/// Name of the column or field that holds a task's labels: "ss3", "ss8", "tertiary_ca", "fold_label", ...
std::string label_column(Task const& task);

} // namespace tape
