#pragma once

#include "features/feature_source.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Arms: what `--features` names. An arm is one feature source, or several joined with '+'; a source is one row of
// `source_registry`.
namespace tape {

/// One feature source as typed: NAME, NAME@PATH (other weights) or NAME@random (the same network, not pretrained).
struct SourceSpec {
    std::string text;    ///< as typed
    std::string name;    ///< registry row
    std::string weights; ///< after '@', empty if none or random
    bool random = false;

    bool operator==(SourceSpec const&) const = default;
};

/// An arm as typed or derived.
struct ArmSpec {
    std::string name; ///< source texts joined with '+'
    std::vector<SourceSpec> sources;

    bool operator==(ArmSpec const&) const = default;
};

/// Where alignments come from.
struct AlignmentSettings {
    std::filesystem::path database;  ///< .tdb or FASTA; empty = the bundled starter database
    std::filesystem::path clusters;  ///< of the database (`ScanClusters`); empty = scan every target
    std::filesystem::path directory; ///< ready alignments by id (A3M, A2M, Stockholm); tried before the search
    int rounds = 2;                  ///< of the search
    bool search = true; ///< false: ready and bundled alignments only, other proteins get their sequence alone
};

/// All that a feature source may depend on beside its own name.
struct SourceSettings {
    AlignmentSettings alignments;
    std::filesystem::path cache; ///< the database made from a FASTA file is kept here
    std::string device = "auto";
    int threads = 0;        ///< 0 = all
    std::uint64_t seed = 0; ///< draws the weights of unpretrained networks
    bool quiet = true;
};

/// Rates behind --dry-run, measured on two cores with the quick preset.
struct SourceCost {
    double seconds_per_residue = 0;
    int residue_width = 0, pooled_width = 0, pair_width = 0;
    bool searches =
        false; ///< the time is that of two rounds over the starter database; variants of a protein share one
};

/// A kind of feature source: a new one is one row in arms.cpp.
/// Whether a source takes NAME@PATH and NAME@random, is nothing without one of them, or nothing without NAME@PATH.
enum class TakesWeights { no, yes, must, must_or_random };

struct SourceRow {
    std::string name;
    std::string summary; ///< one line for --help
    TakesWeights takes_weights = TakesWeights::no;
    SourceCost cost;
    std::function<std::unique_ptr<FeatureSource>(SourceSpec const&, SourceSettings const&)> make;
};
std::vector<SourceRow> const& source_registry();

/// FASTA of the bundled starter database.
std::filesystem::path starter_database();

/// Arms in the order of the report: `onehot` first when `baseline` is set and it was not named, then the arms as given,
/// then, when `hybrid` is set, the union of all plain arms.
///
/// A plain arm is a single source other than `onehot` and other than NAME@random; the union is added when there are two
/// or more of them and it was not given already, in whatever order.
/// @throws usage_error for an unknown name (with the closest one and the list), for weights given to a source that has
/// none,
///         for an arm or a part of one given twice, and for an empty list.
std::vector<ArmSpec> parse_arms(std::vector<std::string> const& features, bool baseline, bool hybrid);

/// NAME@random of the first source that is a network under its own weights (NAME), for figures that show the control
/// beside the arms; none where an arm has an unpretrained network already, or no arm a network.
std::optional<SourceSpec> unpretrained_control(std::vector<ArmSpec> const& arms);

/// Builds one source. Its values may depend on `settings.seed` only if `draws_weights(spec)`.
/// @throws usage_error or data_error when its weights, database or alignments are missing or damaged.
std::unique_ptr<FeatureSource> make_source(SourceSpec const& spec, SourceSettings const& settings);

/// True for NAME@random: each seed draws another network.
bool draws_weights(SourceSpec const& spec);

/// Name of a source as built for a seed: as typed, with the seed where it draws the weights.
std::string instance_name(SourceSpec const& spec, std::uint64_t seed);

} // namespace tape
