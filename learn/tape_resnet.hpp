#pragma once

#include "learn/named_tensors.hpp"
#include "learn/vocabulary_encoder.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// Shape of the ResNet of TAPE's PyTorch port (after Yu et al., CVPR 2017, and Rao et al., NeurIPS 2019): sinusoidal
/// positions, then blocks of two convolutions over three tokens around which the input is added.
struct TapeResNetConfig {
    int hidden = 512, layers = 30; ///< filters, blocks
    double norm_epsilon = 1e-12;   ///< of the embedding's and the head's LayerNorm; a block's is always 1e-12
};

/// Whether a config.json is that of TAPE's ProteinResNet, which names no type.
bool describes_tape_resnet(nlohmann::json const& json);
/// @throws data_error naming the field that is missing or impossible
TapeResNetConfig tape_resnet_config(nlohmann::json const& json, std::string const& origin);

/// Reads what TAPE's PyTorch port writes (github.com/songlab-cal/tape, modeling_resnet.py): config.json and the weights
/// of ProteinResNetForMaskedLM, of ProteinResNetModel, or of a model for a task, whose head is named as unused. Without
/// its language-model head (`mlm.`) a model gives embeddings only.
///
/// The port's network is not the paper's (github.com/songlab-cal/tape-neurips2019): 30 blocks of 512 filters over 3
/// tokens, not dilated, LayerNorm behind each convolution and GELU (paper: 35 blocks of 256 filters over 9 tokens,
/// dilated by 2 but in the first block, BatchNorm and ReLU before each convolution, an embedding of 128 times 16 and
/// one more convolution before the blocks, positions up from 1, Pfam's 29 tokens). A weight file of the port fits only
/// the port's network, so that is the one here.
///
/// Not followed: the port numbers positions down from the padded length, so its results depend on the batch; here they
/// count down from the protein's own length, which is what it does to a protein alone. Its pooling layer takes a
/// softmax over an axis of size 1 and so adds up all tokens; here the softmax is over the residues, as its names say.
class TapeResNetEncoder : public VocabularyEncoder {
  public:
    /// @param model  folder, or weight file with config.json beside it; empty = the port's shape, for a drawn network
    /// @param seed   draws fresh weights of the same shape instead, as the port does
    /// @throws data_error naming the file or tensor that is missing or wrong
    TapeResNetEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed, Options const& options);

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int width() const override { return config_.hidden; }
    [[nodiscard]] int layers() const override { return config_.layers; }
    [[nodiscard]] int heads() const override { return 0; }
    [[nodiscard]] bool has_token_head() const override { return head_.has_value(); }
    [[nodiscard]] bool has_pooler() const override { return pooler_.has_value(); }

  protected:
    [[nodiscard]] Output forward(at::Tensor const& tokens, bool padded, bool attentions, int layer) const override;
    [[nodiscard]] at::Tensor token_logits(at::Tensor const& hidden) const override;

  private:
    struct Linear {
        at::Tensor weight, bias; // out x in, out; float32
    };
    struct Norm {
        at::Tensor weight, bias; // D, float32
        double epsilon;
    };
    struct Convolution {
        at::Tensor weight; // D x 3 D: of each filter the token before, the token, the token after; in compute type
        Norm norm;
    };
    struct Block {
        Convolution first, second;
    };
    struct Head {
        Linear dense;
        Norm norm;
        Linear decoder;
    };
    struct Pooler {
        Linear attention, dense; // 1 x D, D x D
    };

    void take(WeightReader& weights);
    Linear take_linear(WeightReader& weights, std::string const& name, std::int64_t out) const;
    Norm take_norm(WeightReader& weights, std::string const& name, double epsilon) const;
    Convolution take_convolution(WeightReader& weights, std::string const& block, char const* number) const;
    [[nodiscard]] static at::Tensor normed(at::Tensor const& x, Norm const& norm);
    [[nodiscard]] at::Tensor input_of(at::Tensor const& tokens, at::Tensor const& lengths) const;
    [[nodiscard]] at::Tensor convolved(at::Tensor const& x, at::Tensor const& mask, Convolution const& layer) const;
    [[nodiscard]] at::Tensor pooled(at::Tensor const& x, at::Tensor const& lengths) const;

    TapeResNetConfig config_;
    at::Tensor embedding_, frequencies_; // V x D, D / 2 (float64)
    std::optional<Norm> embedding_norm_;
    std::vector<Block> blocks_;
    std::optional<Head> head_;
    std::optional<Pooler> pooler_;
};

} // namespace tape
