#pragma once

#include "learn/named_tensors.hpp"
#include "learn/packed_linear.hpp"
#include "learn/vocabulary_encoder.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// Shape of BERT (Devlin et al., NAACL 2019): post-norm, learned positions, GELU with the error function.
struct BertConfig {
    int hidden = 768, layers = 12, heads = 12, feed_forward = 3072;
    int positions = 512; ///< the longest input, special tokens included
    int token_types = 2; ///< only the first is used
    double norm_epsilon = 1e-12;

    [[nodiscard]] std::int64_t parameter_count(std::int64_t tokens) const;
};

/// Whether a config.json describes a BERT: Hugging Face's (`model_type` "bert") or TAPE's, which names no type.
bool describes_bert(nlohmann::json const& json);
/// @throws data_error naming the field that is missing or impossible
BertConfig bert_config(nlohmann::json const& json, std::string const& origin);

/// Reads a folder's config.json, vocab.txt if there is one (else ProtBert's vocabulary, or TAPE's) and weights:
/// Hugging Face's BertForMaskedLM or BertModel, or TAPE's ProteinBert (its head stands under `mlm.`). A model without
/// its language-model head gives embeddings only; its pooling layer reads the start token.
class BertEncoder : public VocabularyEncoder {
  public:
    /// @param seed  draws fresh weights of the same shape instead
    /// @throws data_error naming the file or tensor that is missing or wrong
    BertEncoder(std::filesystem::path const& directory, std::optional<std::uint64_t> seed, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return config_.hidden; }
    [[nodiscard]] int layers() const override { return config_.layers; }
    [[nodiscard]] int heads() const override { return config_.heads; }
    [[nodiscard]] bool has_token_head() const override { return head_.has_value(); }
    [[nodiscard]] bool has_pooler() const override { return pooler_.has_value(); }
    [[nodiscard]] std::vector<std::int64_t> tokens(Protein const& protein) const override;

  protected:
    [[nodiscard]] Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const override;
    [[nodiscard]] bool packs() const override { return options_.device.is_cpu(); }
    [[nodiscard]] at::Tensor forward_packed(PackedTokens const& batch, int layer) const override;
    [[nodiscard]] std::size_t bytes_of_token() const override;
    [[nodiscard]] std::size_t positions() const override { return static_cast<std::size_t>(config_.positions); }
    [[nodiscard]] at::Tensor token_logits(at::Tensor const& hidden) const override;

  private:
    struct Norm {
        at::Tensor weight, bias; // D, float32
    };
    struct Layer {
        PackedLinear qkv, output, up, down;
        Norm attention_norm, output_norm;
    };
    struct Head {
        PackedLinear dense;
        Norm norm;
        PackedLinear decoder;
    };

    void take(WeightReader& weights);
    PackedLinear take_linear(WeightReader& weights, std::vector<std::string> const& names, std::int64_t out,
                             std::int64_t in) const;
    Norm take_norm(WeightReader& weights, std::vector<std::string> const& names) const;
    PackedLinear prepared(at::Tensor const& weight, at::Tensor const& bias) const;
    [[nodiscard]] at::Tensor normed(at::Tensor const& x, Norm const& norm) const;
    [[nodiscard]] at::Tensor input_of(at::Tensor const& tokens) const;
    void finish_layer_packed(Layer const& layer, at::Tensor const& x, at::Tensor const& mixed,
                             at::Tensor const& lowered) const;
    /// @return mixed values B x T x D, and probabilities if they are to be kept
    [[nodiscard]] std::pair<at::Tensor, at::Tensor> attend(Layer const& layer, at::Tensor const& x,
                                                           at::Tensor const& mask, bool keep_probabilities) const;

    BertConfig config_;
    at::Tensor embedding_, positions_, type_; // V x D, P x D, D
    Norm embedding_norm_;
    std::vector<Layer> layers_;
    std::optional<Head> head_;
    std::optional<PackedLinear> pooler_; // tanh(W x + b) of the start token
};

} // namespace tape
