#pragma once

#include "features/feature_source.hpp"
#include "learn/encoder_source.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

// A language model, ready to read proteins. No torch types here.
namespace tape {

/// What is wanted of each protein; an encoder computes only these.
struct EmbedRequest {
    bool rows = false, pooled = false, pairs = false, logits = false;
};

struct Embedding {
    FeatureMatrix rows;        ///< L x width: last hidden layer, one row a residue
    std::vector<float> pooled; ///< width: mean over residues (UniRep: over the start token too, as published)
    std::vector<float> pairs;  ///< L x L x pair_width, symmetric
    /// L x logit_width: what the model expects at each residue (a masked model without masking it; UniRep from the
    /// residues before it).
    FeatureMatrix logits;
};

class Encoder {
  public:
    virtual ~Encoder() = default;
    [[nodiscard]] virtual std::string description() const = 0;
    [[nodiscard]] virtual int width() const = 0;
    [[nodiscard]] virtual int pair_width() const = 0;
    [[nodiscard]] virtual std::vector<std::string> logit_names() const = 0; ///< a token's name for each column
    /// Hash of weights, arithmetic and algorithm version.
    [[nodiscard]] virtual std::string content_hash() const = 0;
    /// Tensors of the weight file that the network has no place for.
    [[nodiscard]] virtual std::vector<std::string> unused_tensors() const = 0;
    /// One entry a protein, in order. Batch, order and padding change no value beyond rounding.
    [[nodiscard]] virtual std::vector<Embedding> embed(std::span<Protein const> proteins, EmbedRequest request) = 0;
};

/// @param model   bundled or fetched name, Hugging Face folder, run folder, UniRep .npz or folder of .npy
/// @param random  the same network with fresh weights drawn from options.seed
/// @throws usage_error for an unknown name, data_error for weights that cannot be used
std::unique_ptr<Encoder> load_encoder(std::string const& model, bool random, EncoderSourceOptions const& options);

} // namespace tape
