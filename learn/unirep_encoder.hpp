#pragma once

#include "learn/encoder.hpp"
#include "learn/unirep.hpp"

namespace tape {

/// UniRep over a set of proteins as a walk down their common prefix tree: at depth t every distinct prefix of t
/// residues is advanced once, all of them in one product. Proteins that end leave the batch, so nothing is padded, and
/// the variants of one parent (a library such as GFP's) share most of their work.
class UniRepEncoder : public Encoder {
  public:
    struct Options {
        at::Device device = at::kCPU;
        at::ScalarType precision = at::kFloat;
        std::size_t proteins = 2048; ///< walked together; of similar length
    };
    UniRepEncoder(LoadedUniRep loaded, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return loaded_.model.config().units; }
    [[nodiscard]] int pair_width() const override { return 0; }
    [[nodiscard]] std::vector<std::string> logit_names() const override;
    [[nodiscard]] int layers() const override { return loaded_.model.config().layers; }
    [[nodiscard]] int heads() const override { return 0; }
    [[nodiscard]] bool has_contact_head() const override { return false; }
    [[nodiscard]] std::string content_hash() const override { return hash_; }
    [[nodiscard]] std::vector<std::string> unused_tensors() const override { return loaded_.unused; }
    void require(EmbedRequest const& request) const override;
    void require(VariantScoring scoring) const override;
    [[nodiscard]] std::vector<Embedding> embed(std::span<Protein const> proteins, EmbedRequest request) override;
    [[nodiscard]] std::vector<Likelihood> likelihoods(std::span<Protein const> proteins) override;
    [[nodiscard]] VariantScoring default_scoring() const override { return VariantScoring::likelihood_ratio; }
    [[nodiscard]] std::vector<double> score_variants(Protein const& wild_type, std::span<ListedVariant const> variants,
                                                     VariantScoring scoring) override;

    /// What the published code reports of one protein.
    struct Summary {
        std::vector<float> average_hidden, final_hidden,
            final_cell;      ///< units; average over the start token and residues
        double mean_nll = 0; ///< nats a token, over the residues and the stop token
    };
    [[nodiscard]] std::vector<Summary> summarise(std::span<Protein const> proteins);

  private:
    class Walk;
    /// Splits the proteins into groups of similar length and walks each.
    void walk(std::span<Protein const> proteins, EmbedRequest request, std::vector<Embedding>* embeddings,
              std::vector<Summary>* summaries);

    LoadedUniRep loaded_;
    Options options_;
    std::string hash_;
};

} // namespace tape
