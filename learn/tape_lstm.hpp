#pragma once

#include "learn/lstm_layer.hpp"
#include "learn/named_tensors.hpp"
#include "learn/vocabulary_encoder.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// Shape of TAPE's LSTM (Rao et al., NeurIPS 2019, section 4): an embedding, then two stacks of LSTMs that read the
/// protein from its start and from its end without knowing of each other; their last states are joined.
struct TapeLstmConfig {
    int input = 128, hidden = 1024, layers = 3; ///< width of the embedding, units of each layer, layers of each stack
};

/// "1M", "2M", "8M" (ours), and TAPE's own "43M". @throws usage_error naming the choices
TapeLstmConfig tape_lstm_preset(std::string const& size);
/// config.json as TAPE's PyTorch port writes it.
nlohmann::json to_json(TapeLstmConfig const& config);
/// The weights of a network as ProteinLSTMForLM names and draws them.
NamedTensors drawn_tape_lstm(TapeLstmConfig const& config, std::int64_t vocabulary, std::uint64_t seed);

/// Whether a config.json is that of TAPE's ProteinLSTM, which names no type.
bool describes_tape_lstm(nlohmann::json const& json);
/// @throws data_error naming the field that is missing or impossible
TapeLstmConfig tape_lstm_config(nlohmann::json const& json, std::string const& origin);

/// Reads what TAPE's PyTorch port writes (github.com/songlab-cal/tape, modeling_lstm.py): config.json and the weights
/// of ProteinLSTMForLM, of ProteinLSTMModel, or of a model for a task, whose head is named as unused. Without its
/// language-model head (`feedforward`) a model gives embeddings only.
///
/// Layer k is [forward; reverse] behind k LSTMs of each stack, layer 0 the embedding. Logits at a residue are read off
/// the forward state before it and the reverse state behind it, so they do not know the residue itself.
///
/// Where the paper's code (github.com/songlab-cal/tape-neurips2019) and the port differ, a weight file of the port
/// means the port's way: 30 IUPAC tokens within start and end token (paper: Pfam's 29, nothing added); one output layer
/// for both directions, its bias added twice (paper: one over both); a pooling layer, tanh(W sum_k a_k h_k + b) over
/// the stacks' final states (paper: attention in the task's head). Not followed: the port's final forward state of a
/// padded protein is that behind the padding, so its pooling depends on the batch; here it is behind the end token.
class TapeLstmEncoder : public VocabularyEncoder {
  public:
    /// @param model  folder, or weight file with config.json beside it; empty = the published shape, for a drawn
    /// network
    /// @param seed   draws fresh weights of the same shape instead, as the port does
    /// @throws data_error naming the file or tensor that is missing or wrong
    TapeLstmEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return 2 * config_.hidden; }
    [[nodiscard]] int layers() const override { return config_.layers; }
    [[nodiscard]] int heads() const override { return 0; }
    [[nodiscard]] bool has_token_head() const override { return head_.has_value(); }
    [[nodiscard]] bool has_pooler() const override { return pooler_.has_value(); }
    [[nodiscard]] bool sees_itself() const override { return false; }

  protected:
    [[nodiscard]] Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const override;
    /// @param context  N x 2H, the states beside each token
    [[nodiscard]] at::Tensor token_logits(at::Tensor const& context) const override;

  private:
    struct Head {
        at::Tensor weight, bias; // V x H, V, float32
    };
    struct Pooler {
        at::Tensor mix_weight, mix_bias;     // 1 x 2 layers, 1
        at::Tensor dense_weight, dense_bias; // H x H, H
    };

    void take(WeightReader& weights);

    TapeLstmConfig config_;
    at::Tensor embedding_; // V x input
    std::vector<LstmLayer> forward_, reverse_;
    std::optional<Head> head_;
    std::optional<Pooler> pooler_;
};

} // namespace tape
