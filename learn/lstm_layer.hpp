#pragma once

#include "learn/drawn_tensors.hpp"
#include "learn/named_tensors.hpp"

#include <torch/types.h>

#include <cstdint>
#include <string>

// What recurrent encoders share. B proteins padded on the right to T tokens.
namespace tape {

/// One direction of one layer of an LSTM (Hochreiter & Schmidhuber, Neural Comput 9:1735, 1997; forget gates: Gers et
/// al., ibid. 12:2451, 2000) as PyTorch stores it, gates in the order i, f, g, o:
/// c = s(f) c + s(i) tanh(g), h = s(o) tanh(c). States begin at zero.
struct LstmLayer {
    at::Tensor input, recurrent;           // 4H x in, 4H x H, in compute type
    at::Tensor input_bias, recurrent_bias; // 4H

    /// @param prefix, place  name the tensors: PREFIX.weight_ih_PLACE and so on; place is "l0", "l2_reverse", ...
    /// @throws data_error naming the tensor that is missing or wrong
    static LstmLayer take(WeightReader& weights, std::string const& prefix, std::string const& place, std::int64_t in,
                          std::int64_t hidden);
    void prepare(at::Device device, at::ScalarType precision);
    /// @param x  B x T x in   @return B x T x H, float32: the hidden state behind each token
    [[nodiscard]] at::Tensor run(at::Tensor const& x) const;
};

/// Draws a layer's weights as PyTorch does: uniform within 1 / sqrt(H).
void draw_lstm(DrawnTensors& drawn, std::string const& prefix, std::string const& place, std::int64_t in,
               std::int64_t hidden);

/// Reads padded rows from their own last token to the first; the padding stays behind them.
class ReadingOrder {
  public:
    /// @param lengths  B, int64: tokens of each row   @param width  T
    ReadingOrder(at::Tensor const& lengths, std::int64_t width);
    /// @param x  B x T x D; its own inverse
    [[nodiscard]] at::Tensor reversed(at::Tensor const& x) const;
    /// @return B x D: the last token's vector
    [[nodiscard]] at::Tensor last(at::Tensor const& x) const;

  private:
    at::Tensor back_; // B x T x 1
    at::Tensor last_; // B x 1 x 1
};

/// What both directions know of each token without having read it: the forward state behind the token before, the
/// reverse state behind the token after it; zeros at the ends.
/// @param forward, reverse  B x T x H, both in the order of the tokens   @return B x T x 2H
at::Tensor states_beside(at::Tensor const& forward, at::Tensor const& reverse);

} // namespace tape
