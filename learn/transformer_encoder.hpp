#pragma once

#include "learn/encoder.hpp"
#include "learn/transformer.hpp"

namespace tape {

/// Average product correction (Dunn, Wahl & Gloor, Bioinformatics 24:333, 2008) of symmetrised attention maps.
/// @param attention  C x L x L   @return L x L x C, symmetric in the first two
at::Tensor attention_pairs(at::Tensor const& attention);

/// A Transformer that reads proteins in batches of similar length.
class TransformerEncoder : public Encoder {
  public:
    struct Options {
        at::Device device = at::kCPU;
        at::ScalarType precision = at::kFloat;
        std::int64_t tokens = 4096; ///< a batch
    };
    TransformerEncoder(LoadedTransformer loaded, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return loaded_.model.config().hidden; }
    [[nodiscard]] int pair_width() const override {
        return loaded_.model.config().layers * loaded_.model.config().heads;
    }
    [[nodiscard]] std::vector<std::string> logit_names() const override;
    [[nodiscard]] std::string content_hash() const override { return hash_; }
    [[nodiscard]] std::vector<std::string> unused_tensors() const override { return loaded_.unused; }
    [[nodiscard]] std::vector<Embedding> embed(std::span<Protein const> proteins, EmbedRequest request) override;

  private:
    void embed_batch(std::span<Protein const> proteins, std::span<std::size_t const> members, EmbedRequest request,
                     std::vector<Embedding>& results) const;

    LoadedTransformer loaded_;
    Options options_;
    std::string hash_;
};

} // namespace tape
