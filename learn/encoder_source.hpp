#pragma once

#include "features/feature_source.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

// A language model as a feature source. No torch types here.
namespace tape {

struct EncoderSourceOptions {
    std::string device = "auto";
    std::string precision =
        "auto"; ///< auto = bf16 where the machine has it and the model was checked with it, else fp32
    int threads = 0;
    std::uint64_t seed = 0;                    ///< draws the weights of an unpretrained network
    std::size_t memory = std::size_t{2} << 30; ///< bytes a masked model may work in, beside its weights and results
};

/// @param name     as it appears in --features: "transformer", "unirep", "transformer@random", "lstm@DIR"
/// @param model    as `locate_model` (learn/models.hpp) takes it
/// @param random   the same network with fresh weights, the control of the original finding
/// rows: last hidden layer without special tokens; pooled: its mean (UniRep: over start token and residues, as
/// published); pairs: attention maps (layers x heads, symmetrised, APC) for a Transformer or BERT, none for the others.
std::unique_ptr<FeatureSource> make_encoder_source(std::string const& name, std::string const& model, bool random,
                                                   EncoderSourceOptions const& options);

} // namespace tape
