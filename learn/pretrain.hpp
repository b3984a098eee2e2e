#pragma once

#include "learn/corpus.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

// Pretraining of a Transformer or an LSTM by one process or many. No torch types here.
namespace tape {

struct PretrainOptions {
    std::vector<std::filesystem::path> corpus;
    CorpusOptions corpus_options;
    std::filesystem::path output;
    std::string model = "transformer"; ///< or lstm
    std::string size = "8M";
    std::string objective = "mlm";                           ///< as objective_names() of learn/objective.hpp
    std::filesystem::path profiles;                          ///< for profile: a folder that tape-msa wrote
    int hidden = 0, layers = 0, heads = 0, feed_forward = 0; ///< 0 = as `size` says
    std::filesystem::path start_from; ///< folder of a Transformer's weights to go on training; its shape counts
    std::int64_t steps = 10000;
    std::int64_t checkpoint_every = 500, log_every = 20;
    /// Ends after so many checkpoints in a row whose loss on held-out sequences was no better than the best so far,
    /// whose weights are the ones that are written; 0 = goes through all steps.
    std::int64_t patience = 0;
    std::int64_t accumulate = 1; ///< parts of a step, computed one after another
    std::int64_t warmup = 0;     ///< steps; 0 = 2% of `steps`
    std::int64_t window = 256;
    std::int64_t tokens = 8192;                              ///< a step
    double learning_rate = 1e-3, final_learning_rate = 0.02; ///< the second as a share of the first
    double weight_decay = 0.01, clip = 1.0;
    std::uint64_t seed = 0;
    std::string precision = "auto"; ///< fp32, bf16, or auto: bf16 where the processor multiplies it
    std::string device = "cpu";
    int threads = 0;
    bool quiet = false, force = false;
    std::vector<std::string> argv;
};

struct PretrainResult {
    std::int64_t step = 0;
    std::uint64_t residues = 0; ///< seen in training, windows of repeated epochs counted each time
    /// Over what is asked of held-out sequences, residues or else columns; 0 if there are none.
    double valid_perplexity = 0, valid_accuracy = 0;
    bool was_complete = false; ///< nothing was left to do
    bool stopped_early = false;
    std::int64_t weights_step = 0; ///< whose weights were written last
};

/// Trains until `steps`, or goes on from OUTPUT/checkpoint.safetensors. The bytes of OUTPUT/model.safetensors depend on
/// the options, the number of ranks and the machine's arithmetic, never on interruptions.
///
/// Ranks of one launcher (data/shared_queue.hpp) take parts of every batch and add up their gradients, which are those
/// of one process but for rounding. Rank 0 writes; OUTPUT must be a folder that all ranks see. When one is lost the
/// others end with an error, and the same line goes on from the checkpoint, with as many ranks or others.
///
/// Steps whose loss or gradient stands out (learn/spike_guard.hpp) change nothing; the log counts them.
///
/// Writes into OUTPUT: model.safetensors and config.json (as Hugging Face's ESM, or TAPE's ProteinLSTMForLM),
/// checkpoint.safetensors (weights, AdamW's moments, position; with a hash of its values) and the one before it,
/// checkpoint.previous.safetensors, which is gone on from when the newest cannot be read; log.tsv and curve.html, a
/// page of it; manifest.json, README.md (the model card).
/// @throws usage_error if OUTPUT belongs to a run with other settings; error if the loss diverges, with the last good
///         checkpoint kept, or if a rank is lost; data_error for a bad corpus, profile or checkpoint
PretrainResult pretrain(PretrainOptions const& options);

/// What `pretrain` would do: network, parameters, and how much of the corpus the steps cover. Reads the corpus.
std::string describe_plan(PretrainOptions const& options);

/// Copies a finished or running run's weights in half precision, with its configuration and model card.
void export_half(std::filesystem::path const& run, std::filesystem::path const& target);

} // namespace tape
