#pragma once

#include "learn/named_tensors.hpp"
#include "learn/packed_linear.hpp"

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// UniRep's vocabulary: pad 0, MRHKDESTNQCUGPAVIFYWLO 1-22, X, Z, B and J 23, start 24, stop 25.
class UniRepTokenizer {
  public:
    static constexpr int start = 24, stop = 25, size = 26;
    /// @return the token of a residue letter of either case; 23 for any letter that is none
    static int token(char letter) noexcept;
    static std::string name(int token);
};

struct UniRepConfig {
    int units = 1900;
    int layers = 1;
    int embedding = 10;
    bool operator==(UniRepConfig const&) const = default;
};

/// UniRep's multiplicative LSTM (Alley et al., Nat Methods 16:1315, 2019; Krause et al., arXiv:1609.07959): one layer
/// of 1900 units, or four stacked ones of 256 or 64, where a layer's hidden state is the next one's input.
///
///   m = (x Wmx) o (h Wmh);  z = x Wx + m Wh + b, split into i, f, o, u
///   c = s(f) o c + s(i) o tanh(u);  h = s(o) o tanh(c)
///
/// Every matrix is W = g w / |w|, the norm over its input axis. States are float32; products may be bfloat16.
class UniRep {
  public:
    UniRep(UniRepConfig const& config, WeightReader& weights);
    /// Fresh weights: unit columns of random direction, zero bias.
    UniRep(UniRepConfig const& config, std::uint64_t seed);

    /// Normalises the matrices and brings them to where and how they are multiplied. Call before `start` or `advance`.
    void prepare(at::Device device, at::ScalarType precision);

    /// States of a set of prefixes: U rows.
    struct State {
        std::vector<at::Tensor> hidden, cell; ///< per layer U x units, float32

        [[nodiscard]] at::Tensor const& output() const { return hidden.back(); }
    };
    /// After the start token: one row.
    [[nodiscard]] State start() const;
    /// @param parents  U' rows of `state` that the new prefixes extend, int64; undefined if they are all rows in order
    /// @param tokens   U' next tokens, int64
    [[nodiscard]] State advance(State const& state, at::Tensor const& parents, at::Tensor const& tokens) const;
    /// @param output  U x units   @return U x 25: scores of tokens 1 to 25 as the next one
    [[nodiscard]] at::Tensor next_logits(at::Tensor const& output) const;

    [[nodiscard]] UniRepConfig const& config() const noexcept { return config_; }
    [[nodiscard]] at::Device device() const noexcept { return embedding_.device(); }

  private:
    struct Layer {
        at::Tensor wmx, wmh; // in x units, units x units
        at::Tensor wx, wh;   // in x 4 units, units x 4 units
        at::Tensor b;        // 4 units
    };
    struct PreparedLayer {
        PackedLinear wmx, wmh, wx, wh; // without bias
        at::Tensor b;                  // 4 units, float32
    };
    /// A layer's gates: appends its cell and hidden states to `next`.
    /// @param product  U x 4 units, of the precision    @param table  what the input adds: rows x 4 units, float32
    /// @param rows     U rows of the table, undefined = all in order    @param parents  the same of `cell`
    void step(at::Tensor const& product, at::Tensor const& table, at::Tensor const& rows, at::Tensor const& cell,
              at::Tensor const& parents, State& next) const;

    UniRepConfig config_;
    at::Tensor embedding_;                 // 26 x embedding
    std::vector<Layer> layers_;            // normalised, float32
    at::Tensor dense_weight_, dense_bias_; // units x 25, 25
    at::ScalarType precision_ = at::kFloat;
    std::vector<PreparedLayer> prepared_;
    at::Tensor first_m_, first_z_; // 26 x units, 26 x 4 units: the first layer's input, by token
};

struct LoadedUniRep {
    UniRep model;
    std::vector<std::string> unused;
    std::string content_hash;
};

/// Reads the official weights: an .npz with `embedding`, `mlstm.K.{wx,wh,wmx,wmh,gx,gh,gmx,gmh,b}`, `dense.{w,b}`, or a
/// folder of .npy as published (`embed_matrix:0.npy`, `rnn_mlstm_..._wx:0.npy`, `fully_connected_weights:0.npy`, ...).
/// @throws data_error naming the file and the array that is missing, misshaped or NaN
LoadedUniRep load_unirep(std::filesystem::path const& path);
LoadedUniRep drawn_unirep(UniRepConfig const& config, std::uint64_t seed);

} // namespace tape
