#pragma once

#include "features/feature_source.hpp"
#include "features/variant_list.hpp"
#include "learn/encoder_source.hpp"

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

// A language model, ready to read proteins. No torch types here.
namespace tape {

/// What is wanted of each protein; an encoder computes only these.
struct EmbedRequest {
    bool rows = false, pooled = false, pairs = false, logits = false, attentions = false, contacts = false;
    bool pooler = false; ///< `pooled` is what the model's own pooling layer makes of the last layer, not the mean
    int layer = -1;      ///< of rows and mean: -1 = last; k = after k layers, 0 = embedding
};

struct Embedding {
    FeatureMatrix rows; ///< L x width: last hidden layer, one row a residue
    /// width: mean over residues (UniRep: over the start token too, as published); or the pooling layer's vector
    std::vector<float> pooled;
    std::vector<float> pairs; ///< L x L x pair_width, symmetric
    /// L x logit_width: what the model expects at each residue (a masked model without masking it; UniRep from the
    /// residues before it; TAPE's LSTM and Bepler & Berger's model from all others).
    FeatureMatrix logits;
    std::vector<float> attentions; ///< layers x heads x L x L as the model computes them, among residues
    FeatureMatrix contacts;        ///< L x L probabilities of a contact (C-beta within 8 angstrom), symmetric
};

/// How probable a model finds a protein.
struct Likelihood {
    double log_probability = 0; ///< nats, summed
    std::size_t tokens = 0;     ///< that were predicted

    [[nodiscard]] double perplexity() const { return std::exp(-log_probability / static_cast<double>(tokens)); }
};

/// Zero-shot scores of a variant against its wild type, nats; higher is more probable, 0 is the wild type.
enum class VariantScoring {
    masked_marginal,    ///< sum of log p(to) - log p(from), all mutated positions masked (Meier et al., NeurIPS 2021)
    wild_type_marginal, ///< the same read off one pass over the wild type, nothing masked (ibid.)
    likelihood_ratio    ///< log P(variant) - log P(wild type) of whole sequences
};

class Encoder {
  public:
    virtual ~Encoder() = default;
    [[nodiscard]] virtual std::string description() const = 0;
    [[nodiscard]] virtual int width() const = 0;
    [[nodiscard]] virtual int pair_width() const = 0;
    [[nodiscard]] virtual std::vector<std::string> logit_names() const = 0; ///< a token's name for each column
    [[nodiscard]] virtual int layers() const = 0;
    [[nodiscard]] virtual int heads() const = 0; ///< attention maps a layer; 0 = none
    [[nodiscard]] virtual bool has_contact_head() const = 0;
    /// Hash of weights, arithmetic and algorithm version.
    [[nodiscard]] virtual std::string content_hash() const = 0;
    /// Tensors of the weight file that the network has no place for.
    [[nodiscard]] virtual std::vector<std::string> unused_tensors() const = 0;
    /// @throws usage_error saying what of the request this model cannot give
    virtual void require(EmbedRequest const& request) const = 0;
    virtual void require(VariantScoring scoring) const = 0;
    /// One entry a protein, in order. Batch, order and padding change no value beyond rounding.
    [[nodiscard]] virtual std::vector<Embedding> embed(std::span<Protein const> proteins, EmbedRequest request) = 0;
    /// Overlapping windows in which `embed` reads a protein that is longer than the model's positions or the memory
    /// allow; 1 = as a whole.
    [[nodiscard]] virtual std::size_t windows(std::size_t /*residues*/) const { return 1; }
    /// A pseudo-likelihood (each amino acid masked in turn, or predicted by a model that does not see it), or the exact
    /// one (UniRep: residues and stop token).
    [[nodiscard]] virtual std::vector<Likelihood> likelihoods(std::span<Protein const> proteins) = 0;
    [[nodiscard]] virtual VariantScoring default_scoring() const = 0;
    /// @throws usage_error for a score this model does not have, data_error for a variant that does not fit
    [[nodiscard]] virtual std::vector<double>
    score_variants(Protein const& wild_type, std::span<ListedVariant const> variants, VariantScoring scoring) = 0;
};

/// @param model   as `locate_model` (learn/models.hpp) takes it
/// @param random  the same network with fresh weights drawn from options.seed
/// @throws usage_error for an unknown name, data_error for weights that cannot be used
std::unique_ptr<Encoder> load_encoder(std::string const& model, bool random, EncoderSourceOptions const& options);

} // namespace tape
