#pragma once

#include "learn/head_rows.hpp"
#include "learn/head_training.hpp"

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tape {

/// The strong heads' network over rows: a linear layer of 128, then three residual blocks of a dilated convolution of
/// width 5 (dilations 1, 2, 4, so that a residue sees 14 to either side, about two helix turns more than TAPE's head),
/// each behind a root-mean-square norm (Zhang & Sennrich, NeurIPS 2019) and a ReLU, with dropout.
class ResidualTrunk {
  public:
    static constexpr std::int64_t hidden = 128, kernel = 5;
    static constexpr std::array<std::int64_t, 3> dilations{1, 2, 4};
    static constexpr std::int64_t separator = kernel / 2 * dilations.back();
    static constexpr std::string_view description =
        "residual convolutions (128 channels, 3 blocks of 5, dilations 1 2 4)";

    /// @param parameters  drawn from and kept by the caller, who outlives this
    ResidualTrunk(std::int64_t width, HeadParameters& parameters, at::ScalarType type);

    /// T x 128 in the compute type, normed, 0 outside proteins.
    [[nodiscard]] at::Tensor operator()(PackedRows const& packed, bool train);

  private:
    HeadParameters& parameters_;
    at::ScalarType type_;
    at::Tensor project_, project_bias_;
    std::vector<at::Tensor> weights_, biases_;
};

} // namespace tape
