#pragma once

#include "learn/lstm_layer.hpp"
#include "learn/masked_encoder.hpp"
#include "learn/named_tensors.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Letters of Bepler & Berger's models: A R N D C Q E G H I L K M F P S T W Y V X are 1 to 21, either case; U is read
/// as C, O as K, anything else as X. 0 stands before and behind the protein.
struct BeplerTokenizer {
    static constexpr std::int64_t stop = 0, other = 21, size = 22;
    static std::int64_t token(char letter) noexcept;
    /// "<stop>", "A", ...
    static std::string name(std::int64_t token);
};

/// Shape of the network of Bepler & Berger (ICLR 2019) as TAPE took it (Rao et al., NeurIPS 2019): a language model of
/// LSTMs whose weights both directions share, and bidirectional LSTMs over it.
struct BeplerConfig {
    int letters = 21, units = 1024, layers = 2; ///< of the language model: width of its embedding, units, layers
    int input = 512, rnn_units = 512,
        rnn_layers = 3; ///< width of what the bidirectional LSTMs read, their units, layers
    int output = 100;
};

/// The model of Bepler & Berger, "Learning protein sequence embeddings using information from structure"
/// (github.com/tbepler/protein-sequence-embedding-iclr2019): the state dictionary of its StackedRNN over a tied BiLM,
/// alone or as the `embedding` of the model it was trained in, whose heads are named as unused. Sizes are those of the
/// tensors.
///
/// LM: h_k = [forward state before a residue; reverse state behind it] of layer k. Input: ReLU(E x + P [h_1 h_2 ...] +
/// b). Then the bidirectional LSTMs, then one Linear. Layer 0 is the input, k the k-th bidirectional LSTM, the last
/// layer the Linear's output. Logits are the LM's: W f + W r + 2 b over <stop> and the 20 amino acids, unaware of the
/// residue itself; the LM was never trained to expect X.
///
/// A protein alone gets the original's values. Not followed: in a batch, the original's reverse LM reads the padding
/// before the protein. TAPE's own code (tape-neurips2019, BeplerModel.py) is the same network over Pfam's 29 tokens,
/// with 5% of the residues replaced at random in training; its Keras weights are not read.
class BeplerEncoder : public MaskedEncoder {
  public:
    /// @param model  weight file or folder; empty = the published shape, for a drawn network
    /// @param seed   draws fresh weights of the same shape instead, as PyTorch does
    /// @throws data_error naming the file or tensor that is missing or wrong
    BeplerEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return config_.output; }
    [[nodiscard]] std::vector<std::string> logit_names() const override;
    [[nodiscard]] int layers() const override { return config_.rnn_layers + 1; }
    [[nodiscard]] int heads() const override { return 0; }
    [[nodiscard]] bool has_contact_head() const override { return false; }
    [[nodiscard]] bool sees_itself() const override { return false; }
    [[nodiscard]] std::string content_hash() const override { return hash_; }
    [[nodiscard]] std::vector<std::string> unused_tensors() const override { return unused_; }
    [[nodiscard]] std::vector<std::int64_t> tokens(Protein const& protein) const override;

  protected:
    [[nodiscard]] Vocabulary vocabulary() const override;
    [[nodiscard]] std::int64_t token(char letter) const override { return BeplerTokenizer::token(letter); }
    [[nodiscard]] Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const override;
    /// @param context  N x 2 units, the LM's last states beside each token
    [[nodiscard]] at::Tensor token_logits(at::Tensor const& context) const override;

  private:
    struct Linear {
        at::Tensor weight, bias; // out x in, out; float32
    };
    struct Bidirectional {
        LstmLayer forward, reverse;
    };

    void take(WeightReader& weights, std::string const& root);
    Linear take_linear(WeightReader& weights, std::string const& name, std::int64_t out, std::int64_t in) const;
    LstmLayer take_lstm(WeightReader& weights, std::string const& prefix, std::string const& place, std::int64_t in,
                        std::int64_t units) const;

    BeplerConfig config_;
    at::Tensor lm_embedding_, embedding_; // 22 x letters, 21 x input
    std::vector<LstmLayer> lm_;
    Linear lm_output_, lm_projection_, projection_;
    std::vector<Bidirectional> rnn_;
    std::vector<std::string> unused_;
    std::string hash_;
};

} // namespace tape
