#pragma once

#include "compare/arms.hpp"
#include "compare/head_kind.hpp"
#include "compare/presets.hpp"
#include "compare/result.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

// The main job: tasks x arms x seeds -> Result.
namespace tape {

/// Which atom decides a contact.
enum class ContactAtom {
    ca, ///< C-alpha, as in TAPE
    cb  ///< C-beta, C-alpha where it is not known (glycine)
};

/// A contact is a pair closer than this, in angstrom, and at least `minimum_separation` apart in the chain.
inline constexpr float contact_distance = 8.0F;
inline constexpr int minimum_separation = 6;

/// What the user asks for; an empty optional or list takes the preset's value.
struct ExperimentOptions {
    std::vector<std::string> features; ///< empty = the preset's
    bool baseline = true;              ///< add `onehot`
    bool hybrid = true;                ///< add the union of the plain arms
    std::vector<std::string> tasks;    ///< empty = the preset's
    std::string preset = "quick";
    std::optional<std::size_t> train_limit, valid_limit, test_limit; ///< per task
    std::optional<int> seeds, rounds, max_epochs;
    std::uint64_t seed = 0; ///< the first seed; the others follow
    AlignmentSettings alignments;
    std::filesystem::path
        corpus; ///< what a language model was pretrained on, .tdb or FASTA: for the leak audit; may be empty
    ContactAtom contact_atom = ContactAtom::ca;
    HeadStyle head = HeadStyle::published;
    std::filesystem::path cache; ///< features, databases and finished runs; empty = cache_directory()
    std::string device = "auto";
    int threads = 0;
    bool quiet = false;
    bool force = false; ///< refit runs that are in the cache
};

/// The grid, with its data loaded and every subset drawn.
struct Plan {
    ExperimentOptions options; ///< with the preset's values filled in
    std::vector<ArmSpec> arms;
    std::vector<std::uint64_t> seeds;
    std::vector<TaskData> tasks;
};

/// Checks names, loads the tasks, draws the subsets; computes nothing.
/// @throws usage_error for unknown names or limits of zero, data_error for damaged data.
Plan make_plan(ExperimentOptions options);

/// Whether seeds give different answers. Where the head is an exact solution, and no source is a network drawn by seed,
/// one fit stands for every seed.
bool depends_on_seed(HeadKind head, ArmSpec const& arm);

/// Runs the grid. For each task: features of every source (from the cache where they are known), then one head per arm
/// and seed. A finished run is stored under cache/runs at once, so that a killed grid continues where it stopped.
///
/// Where seeds make no difference (depends_on_seed) the same run is recorded under each.
///
/// Memory: one protein's rows at a time; pooled features of one arm (N x D floats) at a time.
/// The manifest's argv and program are left to the caller.
Result run_experiment(Plan const& plan);

} // namespace tape
