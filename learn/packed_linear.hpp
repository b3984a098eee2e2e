#pragma once

#include <torch/types.h>

#include <cstdint>

namespace tape {

/// Number of rows that products of `rows` rows are run with: oneDNN compiles its kernels anew for every number, so few
/// are used.
std::int64_t padded_rows(std::int64_t rows);

/// x W' + b of inference. On a CPU with oneDNN the matrix is kept in the layout that its products read (measured in
/// bf16 at 1,152 rows of ESM-2 8M's layers: 25% faster than reordering it at every call); elsewhere it is at::linear.
class PackedLinear {
  public:
    enum class Then { nothing, gelu }; ///< GELU with the error function

    PackedLinear() = default;
    /// @param weight  out x in    @param bias  out, or undefined    @param type  float32 or bfloat16, of products and
    /// results
    PackedLinear(at::Tensor const& weight, at::Tensor const& bias, at::ScalarType type);

    [[nodiscard]] bool defined() const { return weight_.defined(); }
    /// @param x  ... x in   @return ... x out, in `type`
    [[nodiscard]] at::Tensor operator()(at::Tensor const& x, Then then = Then::nothing) const;

  private:
    [[nodiscard]] at::Tensor product(at::Tensor const& x, Then then) const;

    at::Tensor weight_, bias_;
    at::ScalarType type_ = at::kFloat;
    bool reordered_ = false;
};

struct NormWeights {
    at::Tensor const &weight, &bias; ///< D, float32
};
/// x += delta, then layer normalisation of x into `normed`, on the CPU (learn/row_kernels.hpp).
/// @param x        N x D, float32, contiguous; changed
/// @param delta    N x D of normed's type, or undefined
/// @param normed   N x D, float32 or bfloat16, contiguous
/// @param replace  whether x becomes the normalised value (post-norm networks)
void add_and_normalise(at::Tensor const& x, at::Tensor const& delta, NormWeights norm, double epsilon,
                       at::Tensor const& normed, bool replace = false);

} // namespace tape
