#pragma once

#include "learn/masked_encoder.hpp"
#include "learn/transformer.hpp"

namespace tape {

/// A Transformer of ESM-2's dialect.
class TransformerEncoder : public MaskedEncoder {
  public:
    TransformerEncoder(LoadedTransformer loaded, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return loaded_.model.config().hidden; }
    [[nodiscard]] std::vector<std::string> logit_names() const override;
    [[nodiscard]] int layers() const override { return loaded_.model.config().layers; }
    [[nodiscard]] int heads() const override { return loaded_.model.config().heads; }
    /// A causal network's logits at a residue come from the states before it.
    [[nodiscard]] bool sees_itself() const override { return !loaded_.model.config().causal; }
    [[nodiscard]] bool has_contact_head() const override { return loaded_.contact_head.has_value(); }
    [[nodiscard]] std::string content_hash() const override { return hash_; }
    [[nodiscard]] std::vector<std::string> unused_tensors() const override { return loaded_.unused; }
    [[nodiscard]] std::vector<std::int64_t> tokens(Protein const& protein) const override {
        return EsmTokenizer::wrapped(protein.residues);
    }

  protected:
    [[nodiscard]] Vocabulary vocabulary() const override { return {EsmTokenizer::pad, EsmTokenizer::mask}; }
    [[nodiscard]] std::int64_t token(char letter) const override { return EsmTokenizer::token(letter); }
    [[nodiscard]] Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const override;
    /// Attention without padding sees both ways.
    [[nodiscard]] bool packs() const override { return options_.device.is_cpu() && sees_itself(); }
    void prepare(std::int64_t longest) const override { loaded_.model.extend_rotary(longest); }
    [[nodiscard]] at::Tensor forward_packed(PackedTokens const& batch, int layer) const override;
    [[nodiscard]] std::size_t bytes_of_token() const override { return loaded_.model.bytes_of_token(); }
    [[nodiscard]] at::Tensor token_logits(at::Tensor const& hidden) const override {
        return loaded_.model.logits(hidden);
    }
    [[nodiscard]] at::Tensor contact_probabilities(at::Tensor const& maps) const override;

  private:
    /// The last layer's states are reported behind the final norm, as the original programs do.
    [[nodiscard]] int behind_norm(int layer) const { return layer == layers() ? -1 : layer; }

    LoadedTransformer loaded_;
    std::string hash_;
};

} // namespace tape
