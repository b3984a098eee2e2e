#pragma once

#include "data/dataset.hpp"

#include <filesystem>

namespace tape {

/// A task of the user's own from one file, CSV or JSON (an array, or one object a line), any compression.
///
/// Columns: `id`, `sequence`, `split` (train, valid or test) and one whose name says what is predicted:
///   value     protein_value  a finite number a protein
///   class     protein_class  a name or number a protein
///   labels    residue_class  a letter a residue, '-' where not known
///   contacts  residue_pair   "3-17 4-16": pairs of residues in contact, counted from 1; empty = none; in JSON also
///                            [[3, 17], [4, 16]]
/// and, for labels and contacts, `valid_mask` where residues are not resolved (0 or 1 a residue). Further columns
/// become attributes. The task is called after the file: "my_assay.csv" is my_assay. `load_split` reads its splits.
/// @throws usage_error for a name that a bundled task has; data_error for a missing, double or unknown column, an
///         unknown split or one without records, a class that is the only one, and all that `read_dataset` refuses
Task own_task(std::filesystem::path const& file);

/// Whether a word of --tasks is meant as a file: it names one, or ends like one.
bool is_task_file(std::string const& word);

} // namespace tape
