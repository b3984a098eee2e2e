#pragma once

#include "data/dataset.hpp"
#include "data/manifest.hpp"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

// The one result structure: every prediction of every arm, task and seed. Metrics, tests, figures and all reporters
// read this and nothing else; tape-report rebuilds everything from its JSON.
namespace tape {

/// A test protein and its truth, shared by all arms and seeds of a task.
struct TestExample {
    std::string id;
    std::string residues;
    std::vector<std::int16_t> residue_labels;      ///< residue_class
    std::vector<std::uint8_t> mask;                ///< residue_class, residue_pair: 1 = resolved; empty = all
    std::vector<std::array<int, 2>> contacts;      ///< residue_pair: true contacts i < j, j - i >= 6
    int class_label = -1;                          ///< protein_class
    double value = 0;                              ///< protein_value
    std::map<std::string, std::string> attributes; ///< num_mutations, parent, ...
};

/// A scored residue pair, i < j.
struct PairPrediction {
    int i = 0, j = 0;
    float probability = 0;
};

/// One arm's answer for one test protein. Only the field of the task's kind is filled.
struct Prediction {
    std::vector<std::int16_t> residue_classes; ///< most probable class, L
    std::vector<PairPrediction> pairs;         ///< the top L of each range [6,12), [12,24), >= 24, by probability
    std::vector<int> top_classes;              ///< ten most probable classes, best first
    /// Probability of the class named, as `stored_confidence` rounds it: residue_class L, protein_class one; empty in
    /// results that were written before it was kept.
    std::vector<float> confidence;
    double value = 0;
};

/// One trained head: an arm, a task, a seed.
struct Run {
    std::string arm;
    std::uint64_t seed = 0;
    std::string head, hyperparameters;
    double valid_score = 0;
    std::size_t train_size = 0, valid_size = 0;
    double feature_seconds = 0, head_seconds = 0; ///< NaN = not known
    std::vector<Prediction> predictions;          ///< parallel to TaskResult::examples
};

/// What an arm read for a test protein: depth and origin of its alignment (arms without one have none).
struct EvidenceRow {
    std::vector<float> depth;              ///< Neff at 80% identity, parallel to examples
    std::map<std::string, int> provenance; ///< text -> number of test proteins
};

/// How close each test protein is to a set of sequences that something was learnt or read from.
struct Relatives {
    std::string set;       ///< "training", "database" or "corpus"
    std::string name;      ///< "300 training proteins", "starter.tdb"
    double coverage = 0.8; ///< least share of the test protein that a relative must align with
    std::vector<float>
        identity; ///< of aligned pairs with the closest such relative, parallel to examples; 0 = none found
};

struct TaskResult {
    Task task;
    std::size_t train_available = 0; ///< proteins in the whole training split; 0 = not stated
    std::vector<TestExample> examples;
    std::vector<Run> runs;
    std::map<std::string, EvidenceRow> evidence; ///< arm -> row
    std::vector<Relatives> relatives;            ///< of the leak audit; empty where it was not made
    std::vector<std::string> notes;              ///< printed under the task: subsampling, fallbacks, train sizes
};

/// An arm as run.
struct Arm {
    std::string name;                      ///< "msa+transformer"
    std::vector<std::string> sources;      ///< {"msa", "transformer"}
    std::vector<std::string> descriptions; ///< one line a source
    std::string run;                       ///< label of the run it came from, in merged results; else empty
};

/// Full contact maps of a few showcase proteins, for the figure.
struct ContactMap {
    std::string id, arm;
    int length = 0;
    std::vector<float> probability; ///< L x L, row-major, symmetric; the JSON holds four significant digits of i < j
};

/// Some rows of the alignment that an arm read for a showcase protein, over the protein's residues.
struct ShownAlignment {
    std::string task, id, source;           ///< source: where the alignment came from
    std::size_t depth = 0;                  ///< rows of the whole alignment
    std::vector<std::string> row_ids, rows; ///< the protein first, '-' gaps
    std::vector<float> entropy;             ///< of each column of the whole alignment, nats
};

/// Points for the t-SNE figure: features of a sample of GFP variants.
struct EmbeddingSample {
    std::string source; ///< of a feature source or of a joined arm
    std::vector<std::string> ids;
    std::vector<double> values; ///< log-fluorescence
    std::vector<int> mutations;
    std::vector<std::array<float, 2>> points; ///< t-SNE coordinates
    double perplexity = 30, kl_divergence = 0;
};

/// Measured values of all variants with so many mutations, for the figure; quantiles interpolate linearly.
struct MutationCount {
    int mutations = 0;
    std::size_t variants = 0;
    double low = 0, lower_quartile = 0, median = 0, upper_quartile = 0, high = 0; ///< low and high: 5% and 95%
};

/// Per-position numbers of the fluorescence protein, for the entropy figure.
struct PositionStatistics {
    std::string alignment;           ///< where the alignment came from
    std::string wild_type;           ///< residues
    std::vector<double> entropy;     ///< column entropy, nats
    std::vector<double> mean_value;  ///< mean log-fluorescence of the variants mutated here; NaN where none
    std::vector<double> mean_single; ///< over single mutants only
    double spearman_all = 0, spearman_single = 0;
    std::vector<MutationCount> by_mutations; ///< ascending; empty in results that were written before it was kept
    std::vector<std::string> row_ids, rows;  ///< alignment rows shown in the coloured figure, query first, '-' gaps
};

struct Result {
    static constexpr int format_version = 1;
    Manifest manifest;
    std::string preset;
    std::vector<Arm> arms;
    std::vector<std::uint64_t> seeds;
    std::vector<TaskResult> tasks;
    std::vector<ContactMap> contact_maps;
    std::vector<ShownAlignment> alignments; ///< empty in results that were written before they were kept
    std::vector<EmbeddingSample> embeddings;
    std::vector<PositionStatistics> positions; ///< none or one
    std::vector<std::string> notes;
};

/// Probability as the JSON holds it: four significant digits. Metrics rank pairs by this value, so that they are the
/// same before and after a round trip.
float stored_probability(float probability);

/// The same for the probability of a named class: to 1/3843, two letters in the JSON.
float stored_confidence(float probability);

/// @throws data_error naming the key for parallel arrays of unequal length, an arm that is not listed, labels or
/// classes out
///         of range, pairs outside their protein, or a probability outside [0, 1].
void check_result(Result const& result);

/// Doubles survive exactly; NaN is null. @throws data_error as check_result.
nlohmann::json to_json(Result const& result);
/// The reverse. @throws data_error naming the key for a missing or misshaped field or another format version, and as
///         check_result.
Result result_from_json(nlohmann::json const& json);
/// The same from a file (gz, xz and zst too); messages begin with its name.
Result read_result(std::filesystem::path const& file);
/// Writes FILE, whose bytes follow from the seed and the inputs alone, and FILE.manifest.json with what does not:
/// command line, times, seconds of each run. `read_result` puts both together again where the second still belongs to
/// the first.
void write_result(std::filesystem::path const& file, Result const& result);

} // namespace tape
