#pragma once

#include "learn/encoder.hpp"
#include "learn/packed_attention.hpp"

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

namespace tape {

/// Average product correction (Dunn, Wahl & Gloor, Bioinformatics 24:333, 2008) of symmetrised attention maps.
/// @param attention  C x L x L   @return L x L x C, symmetric in the first two
at::Tensor attention_pairs(at::Tensor const& attention);

/// A masked language model that reads proteins in batches of similar length; a network adds its vocabulary and its
/// forward pass. Or a bidirectional one, which predicts each residue from all others and needs no mask.
///
/// One special token stands before the residues and one behind them. Whatever is reported of a protein is its residues'
/// part: the special tokens' rows and columns are cut off.
class MaskedEncoder : public Encoder {
  public:
    struct Options {
        at::Device device = at::kCPU;
        at::ScalarType precision = at::kFloat;
        std::int64_t tokens = 4096;                ///< of a padded batch
        std::int64_t packed_tokens = 1024;         ///< of a packed one: what stays in a core's cache
        std::size_t memory = std::size_t{2} << 30; ///< bytes beside the weights, results that are asked for apart
    };

    [[nodiscard]] int pair_width() const override { return layers() * heads(); }
    /// Whether it can say what it expects at a masked residue.
    [[nodiscard]] virtual bool has_token_head() const { return true; }
    /// Whether its logits at a residue depend on that residue (unless it is masked).
    [[nodiscard]] virtual bool sees_itself() const { return true; }
    /// Whether it has a pooling layer.
    [[nodiscard]] virtual bool has_pooler() const { return false; }
    /// Special token, residues, special token. @throws data_error for a protein the network cannot read
    [[nodiscard]] virtual std::vector<std::int64_t> tokens(Protein const& protein) const = 0;
    void require(EmbedRequest const& request) const override;
    void require(VariantScoring scoring) const override;
    [[nodiscard]] std::vector<Embedding> embed(std::span<Protein const> proteins, EmbedRequest request) override;
    [[nodiscard]] std::size_t windows(std::size_t residues) const override;
    /// Each amino acid masked in turn (Salazar et al., ACL 2020), among all tokens of the vocabulary; other letters are
    /// context only. O(L) passes a protein; one where logits do not see their own residue.
    [[nodiscard]] std::vector<Likelihood> likelihoods(std::span<Protein const> proteins) override;
    [[nodiscard]] VariantScoring default_scoring() const override {
        return sees_itself() ? VariantScoring::masked_marginal : VariantScoring::wild_type_marginal;
    }
    [[nodiscard]] std::vector<double> score_variants(Protein const& wild_type, std::span<ListedVariant const> variants,
                                                     VariantScoring scoring) override;

  protected:
    explicit MaskedEncoder(Options const& options) : options_{options} {}

    struct Vocabulary {
        std::int64_t padding, mask;
    };
    struct Output {
        at::Tensor hidden;                  ///< B x T x D, float32
        at::Tensor context;                 ///< B x T x D', float32: what logits are read off, if not `hidden`
        at::Tensor pooled;                  ///< B x P, float32, if it has a pooling layer
        std::vector<at::Tensor> attentions; ///< per layer B x heads x T x T, float32, if asked for
    };
    [[nodiscard]] virtual Vocabulary vocabulary() const = 0;
    [[nodiscard]] virtual std::int64_t token(char letter) const = 0;
    /// @param tokens  B x T, padding on the right if `padded`
    /// @param layer   -1 = last; k = hidden states after k layers
    [[nodiscard]] virtual Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const = 0;
    /// Whether it reads sequences without padding between them, by forward_packed.
    [[nodiscard]] virtual bool packs() const { return false; }
    /// Before forward_packed is called in several threads. @param longest  tokens of a sequence
    virtual void prepare(std::int64_t /*longest*/) const {}
    /// @return N x D, float32
    [[nodiscard]] virtual at::Tensor forward_packed(PackedTokens const& batch, int layer) const;
    /// The largest working memory of a token in forward_packed, bytes.
    [[nodiscard]] virtual std::size_t bytes_of_token() const { return 0; }
    /// The longest input, special tokens included.
    [[nodiscard]] virtual std::size_t positions() const { return std::numeric_limits<std::size_t>::max(); }
    /// @param hidden  N x D (or D' of `context`)   @return N x V, float32
    [[nodiscard]] virtual at::Tensor token_logits(at::Tensor const& hidden) const = 0;
    /// @param maps  C x L x L attention of the residues   @return L x L probabilities of a contact
    [[nodiscard]] virtual at::Tensor contact_probabilities(at::Tensor const& maps) const;

    Options options_;

  private:
    void require_token_head() const;

    /// Positions of one protein, from 0, that are masked at the same time.
    using Positions = std::vector<std::size_t>;

    using TokenRow = std::vector<std::int64_t>;
    /// What the network made of one row of T tokens.
    struct States {
        at::Tensor hidden, basis; ///< T x D, and T x D' that logits are read off
        at::Tensor pooled;        ///< P, if a pooling layer was asked for
    };
    using Use = std::function<void(std::size_t, States const&)>;
    struct Reading {
        int layer;
        bool pooled;
    };
    /// Calls use(i, states) for the rows [0, lengths.size()) of tokens, in batches of similar length and any order; for
    /// different rows perhaps in different threads.
    void visit(std::vector<std::size_t> const& lengths, std::function<TokenRow(std::size_t)> const& row,
               Reading reading, Use const& use) const;
    void visit_padded(std::span<std::size_t const> order, std::vector<std::size_t> const& lengths,
                      std::function<TokenRow(std::size_t)> const& row, int layer, Use const& use) const;
    void visit_packed(std::span<std::size_t const> order, std::vector<std::size_t> const& lengths,
                      std::function<TokenRow(std::size_t)> const& row, int layer, Use const& use) const;
    /// Residues that are read at once: what the model's positions and the memory allow.
    [[nodiscard]] std::size_t window() const;
    void embed_in_windows(Protein const& protein, EmbedRequest const& request, Embedding& result) const;
    void embed_maps(Protein const& protein, EmbedRequest const& request, Embedding& result) const;
    /// Log-probabilities of every token at the masked positions: one |set| x V matrix for each set, float32 on the CPU.
    [[nodiscard]] std::vector<at::Tensor> masked_log_probabilities(Protein const& protein,
                                                                   std::span<Positions const> sets) const;
    [[nodiscard]] std::vector<Likelihood> likelihoods_of_one_pass(std::span<Protein const> proteins);
    [[nodiscard]] std::vector<double> masked_marginals(Protein const& wild_type,
                                                       std::span<ListedVariant const> variants) const;
    [[nodiscard]] std::vector<double> wild_type_marginals(Protein const& wild_type,
                                                          std::span<ListedVariant const> variants) const;
};

} // namespace tape
