#pragma once

#include "compare/head_kind.hpp"
#include "data/dataset.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

// How much of each task a run uses, and the choice of those examples.
namespace tape {

/// Sizes of a task's splits; 0 = all.
struct TaskLimits {
    std::size_t train = 0, valid = 0, test = 0;
    std::size_t classes = 0;    ///< protein_class: only this many classes, those with the most test proteins; 0 = all
    std::size_t per_class = 0;  ///< protein_class: at most this many training proteins a class; 0 = all
    int max_epochs = 0;         ///< passes of the head over the training part; 0 = the head's own
    std::size_t max_length = 0; ///< training and validation proteins only: longer ones are left out; 0 = none
};

struct Preset {
    std::string name;                         ///< "quick", "seed-finding", "full"
    std::string summary;                      ///< one line for --help
    std::map<std::string, TaskLimits> limits; ///< by task; a task without an entry is unlimited
    int seeds = 3;
    int search_rounds = 3;
    std::vector<std::string> features{"msa", "transformer"}; ///< where --features says nothing
    std::vector<std::string> tasks{"all"};                   ///< where --tasks says nothing
};
std::vector<Preset> const& presets();
/// @throws usage_error naming the closest preset.
Preset const& find_preset(std::string const& name);

/// Tasks of `--tasks`: "all" or names and the short names ss, ss3, ss8, contacts, homology, gfp; in the order of
/// `bundled_tasks`, each once; then the files that are tasks of the user's own (own_task). @throws usage_error with the
/// closest name and the list.
std::vector<Task> parse_tasks(std::vector<std::string> const& names);

/// Sizes of a task under a preset; a task of the user's own has those of the first bundled task of its kind, all
/// classes.
TaskLimits limits_of(Preset const& preset, Task const& task);

/// The examples of a task that a run uses, identical for every arm and seed.
struct TaskData {
    Task task;
    std::vector<Example> train, valid, test;
    HeadKind head{};                 ///< that every arm gets; left to the plan by `load_task`
    int max_epochs = 0;              ///< as in TaskLimits
    std::size_t train_available = 0; ///< proteins of the whole training split
    std::string hash;                ///< of the three files and of the chosen ids
    std::vector<std::string> notes;  ///< what was left out and how it was chosen
};

/// Indices of the `limit` examples that come first by a hash of salt and id, ascending.
std::vector<std::size_t> chosen_by_hash(std::span<Example const> examples, std::size_t limit, std::string const& salt);

/// Loads the three splits and draws the subset.
///
/// Examples are ranked by a hash of seed and id, so that the subset of a larger limit contains that of a smaller one
/// and does not depend on the order of the file. Validation and test are ranked without the seed: they stay the same
/// for every
/// `--seed`. Chosen examples keep the order of the file. Test examples whose sequence also stands in the training part
/// carry the attribute "in_train" = "1".
/// @throws data_error if nothing is left of a split.
TaskData load_task(Task const& task, TaskLimits const& limits, std::uint64_t seed);

} // namespace tape
