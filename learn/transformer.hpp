#pragma once

#include "learn/named_tensors.hpp"
#include "learn/packed_attention.hpp"
#include "learn/packed_linear.hpp"
#include "learn/token_batch.hpp"
#include "learn/tokenizer.hpp"

#include <nlohmann/json_fwd.hpp>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Shape of a pre-norm Transformer encoder with rotary positions, as ESM-2 (Lin et al., Science 379:1123, 2023).
struct TransformerConfig {
    int hidden = 320;
    int layers = 6;
    int heads = 20;
    int feed_forward = 0; ///< 0 = 4 x hidden
    double norm_epsilon = 1e-5;
    /// ESM-2's token dropout: embeddings of <mask> are zeroed and the rest scaled by (1 - 0.12) / (1 - share of
    /// <mask>).
    bool token_dropout = false;
    /// Whether a residue sees only itself and what stands before it, as for next-token prediction.
    bool causal = false;

    [[nodiscard]] int head_size() const { return hidden / heads; }
    [[nodiscard]] int feed_forward_size() const { return feed_forward ? feed_forward : 4 * hidden; }
    [[nodiscard]] std::int64_t parameter_count() const;
    bool operator==(TransformerConfig const&) const = default;
};

/// "1M", "2M", "3M", and ESM-2's own "8M", "35M", "150M", "650M". @throws usage_error naming the choices
TransformerConfig transformer_preset(std::string const& size);
std::vector<std::string> const& transformer_preset_names();

/// config.json in the fields that Hugging Face's EsmConfig uses, so that `EsmForMaskedLM.from_pretrained` reads our
/// runs.
nlohmann::json to_json(TransformerConfig const& config);
/// @throws data_error naming the field that is missing or impossible, or a dialect that is not this one
TransformerConfig transformer_config(nlohmann::json const& json, std::string const& origin);
/// @throws usage_error if heads do not divide hidden, head size is odd, or a size is not positive
void check(TransformerConfig const& config);

/// The encoder with its language-model head. Tensors carry their names in Hugging Face's ESM checkpoints, except that
/// query, key and value are one matrix in memory.
class Transformer {
  public:
    /// Fresh weights: normal(0, 0.02), residual outputs divided by sqrt(2 layers); biases 0, norms 1.
    Transformer(TransformerConfig const& config, std::uint64_t seed);
    /// @throws data_error naming a tensor that is missing, misshaped, NaN, or that this network does not have
    Transformer(TransformerConfig const& config, WeightReader& weights);

    struct Output {
        at::Tensor hidden;                  ///< B x T x D, after the last norm, float32
        std::vector<at::Tensor> attentions; ///< per layer B x heads x T x T, float32, if asked for
    };
    struct ForwardOptions {
        bool attentions = false;
        int layer = -1; ///< -1 = last with its norm; k = residual stream after k layers (0 = embedding)
    };
    /// Inference or, with gradients enabled, training. Matrix products in `compute_type()`, norms and softmax in
    /// float32.
    [[nodiscard]] Output forward(TokenBatch const& batch, ForwardOptions const& options) const;
    [[nodiscard]] Output forward(TokenBatch const& batch) const { return forward(batch, {}); }

    /// For inference on the CPU: brings the matrices into the layout of `PackedLinear` and lets go of the originals, so
    /// that from here on only `forward`, `forward_packed` and `logits` may be called.
    void pack();
    /// Room for rotary positions; before `forward_packed` is called, which may then run in several threads.
    void extend_rotary(std::int64_t length) const;
    /// Hidden states of sequences without padding between them, as `forward` gives them; after `pack`.
    /// @return N x D, float32
    [[nodiscard]] at::Tensor forward_packed(PackedTokens const& batch, int layer) const;
    /// Largest working memory of `forward_packed`, bytes a token.
    [[nodiscard]] std::size_t bytes_of_token() const;

    /// @param hidden  N x D    @return N x 33, float32
    [[nodiscard]] at::Tensor logits(at::Tensor const& hidden) const;

    /// Weights under their file names (query, key and value apart), float32 copies.
    [[nodiscard]] NamedTensors state() const;
    /// Leaves to be trained, in a fixed order.
    [[nodiscard]] std::vector<Parameter> parameters() const;

    struct Layer {
        at::Tensor norm_weight, norm_bias;          // D
        at::Tensor qkv_weight, qkv_bias;            // 3D x D, 3D
        at::Tensor output_weight, output_bias;      // D x D, D
        at::Tensor ffn_norm_weight, ffn_norm_bias;  // D
        at::Tensor up_weight, up_bias;              // F x D, F
        at::Tensor down_weight, down_bias;          // D x F, D
        PackedLinear qkv{}, output{}, up{}, down{}; // after pack()
    };
    // What learn/training_pass.cpp reads.
    [[nodiscard]] std::vector<Layer> const& layers() const noexcept { return layers_; }
    [[nodiscard]] at::Tensor const& embedding() const noexcept { return embedding_; }
    struct Rotary {
        at::Tensor const &cos, &sin; // positions x head_size/2, as far as `extend_rotary` was called for
    };
    [[nodiscard]] Rotary rotary() const noexcept { return {rotary_cos_, rotary_sin_}; }
    /// The last norm. @param x  N x D, the residual stream behind the last layer
    [[nodiscard]] at::Tensor final_norm(at::Tensor const& x) const;

    [[nodiscard]] TransformerConfig const& config() const noexcept { return config_; }
    [[nodiscard]] at::ScalarType compute_type() const noexcept { return compute_type_; }
    void set_compute_type(at::ScalarType type);
    /// Drops the copies of weights in compute type, which a change of the weights makes stale.
    void forget_lowered() const { lowered_.clear(); }
    void to(at::Device device);
    void require_gradients();

  private:
    struct Field {
        std::string name;
        at::Tensor Layer::*value;
        bool decays;
    };
    static std::vector<Field> const& fields();

    at::Tensor embed(at::Tensor const& tokens) const;
    [[nodiscard]] at::Tensor embed_packed(PackedTokens const& batch) const;
    void finish_layer_packed(std::size_t index, std::size_t last, at::Tensor const& x, at::Tensor const& mixed,
                             at::Tensor const& normed) const;
    struct Attended {
        at::Tensor values, probabilities;
    };
    Attended attend(Layer const& layer, at::Tensor const& x, at::Tensor const& mask, bool keep_probabilities) const;
    at::Tensor feed_forward(Layer const& layer, at::Tensor const& x) const;
    at::Tensor linear(at::Tensor const& x, PackedLinear const& packed, at::Tensor const& weight,
                      at::Tensor const& bias) const;

    TransformerConfig config_;
    at::ScalarType compute_type_ = at::kFloat;
    at::Tensor embedding_; // 33 x D
    std::vector<Layer> layers_;
    at::Tensor final_norm_weight_, final_norm_bias_;    // D
    at::Tensor head_weight_, head_bias_;                // D x D, D
    at::Tensor head_norm_weight_, head_norm_bias_;      // D
    at::Tensor output_bias_;                            // 33
    PackedLinear head_, decoder_;                       // after pack()
    mutable at::Tensor rotary_cos_, rotary_sin_;        // positions x head_size/2
    mutable std::map<void const*, at::Tensor> lowered_; // matrices in compute type, inference only
};

/// Logistic regression over symmetrised, APC-corrected attention maps (Rao et al., ICLR 2021), as ESM-2 ships it.
struct ContactHead {
    at::Tensor weight; ///< layers * heads, float32, layers outermost
    double bias = 0;
};

struct LoadedTransformer {
    Transformer model;
    std::optional<ContactHead> contact_head;
    std::vector<std::string> unused; ///< tensors of the file that this network has no place for
    std::string content_hash;        ///< of the weight files and the configuration
};

/// The network of tensors that are in memory already. @param hashes  of all that they come from
LoadedTransformer assemble_transformer(TransformerConfig const& config, NamedTensors tensors, std::string const& origin,
                                       std::string const& hashes);

/// Reads DIR/config.json and DIR/model.safetensors or DIR/pytorch_model.bin (learn/checkpoint.hpp).
/// @throws data_error naming the file, and the tensor if it is one, that is missing, truncated, misshaped or NaN
LoadedTransformer load_transformer(std::filesystem::path const& directory);

/// Writes DIR/config.json and DIR/model.safetensors. @param type  float32, or half for shipping
void save_transformer(std::filesystem::path const& directory, Transformer const& model,
                      at::ScalarType type = at::kFloat, std::map<std::string, std::string> const& metadata = {});

} // namespace tape
