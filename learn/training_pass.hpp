#pragma once

#include "learn/packed_attention.hpp"
#include "learn/transformer.hpp"

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace tape {

/// Forward and backward of a Transformer's layers on the CPU, over sequences without padding between them, written out
/// instead of left to autograd: products of whole batches into memory that is kept from step to step, and one pass over
/// the rows between two products (learn/training_kernels.hpp). Products in the model's compute type with weights
/// lowered once a step; residual stream, norms, softmax and sums in float32. Measured by tests/bench/pretrain_peers.py;
/// checked against autograd in tests/learn/training_pass_test.cpp.
///
/// Kept of N tokens, for the backward: N x (13 x hidden + heads + feed_forward) values a layer, two of the hidden ones
/// twice as wide.
class TrainingPass {
  public:
    /// @param model  on the CPU, without token dropout; outlives the pass
    explicit TrainingPass(Transformer const& model) : model_{&model} {}

    /// Reads the model's weights anew; after every change of them.
    void refresh();
    /// @return N x D, float32: the residual stream behind the last layer, before the last norm. Valid until the next
    /// call.
    at::Tensor forward(PackedTokens const& batch);
    /// Adds the gradients of the batch that went forward last to those of the parameters (Transformer::parameters),
    /// which are there.
    /// @param places    M, int64: rows of the batch    @param gradient  M x D, float32: of their residual stream
    void backward(at::Tensor const& places, at::Tensor const& gradient);

  private:
    struct LayerState {
        at::Tensor first, normed, qkv, mixed, levels; // N x D float32, N x D, N x 3 x heads x size, N x D, heads x N
        at::Tensor middle, ffn_normed, up;            // N x D float32, N x D, N x F
        at::Tensor qkv_weight, output_weight, up_weight, down_weight; // lowered
    };
    void reserve(std::int64_t rows);
    void forward_layer(std::size_t index);
    void backward_layer(std::size_t index);
    void backward_feed_forward(std::size_t index);
    void backward_attention(std::size_t index);
    [[nodiscard]] at::Tensor rows_of(at::Tensor const& buffer) const { return buffer.slice(0, 0, rows_); }
    [[nodiscard]] Transformer::Layer const& layer(std::size_t index) const { return model_->layers()[index]; }

    Transformer const* model_;
    std::vector<LayerState> layers_;
    at::Tensor last_, delta_, wide_;                     // N x D float32, N x D, N x F
    at::Tensor stream_, lowered_, narrow_, gated_, qkv_; // gradients: N x D float32, N x D, N x D, N x F, N x 3D
    std::int64_t capacity_ = 0, rows_ = 0, tokens_ = 0;
    std::vector<std::int64_t> starts_;
    at::Tensor token_ids_, positions_; // N, int64
};

} // namespace tape
