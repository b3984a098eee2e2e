#pragma once

#include "learn/named_tensors.hpp"
#include "learn/transformer.hpp"

#include <vector>

namespace tape {

/// AdamW (Loshchilov & Hutter, ICLR 2019) with LibTorch's fused step; decay on matrices only.
class AdamW {
  public:
    struct Options {
        double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weight_decay = 0.01;
    };
    AdamW(std::vector<Transformer::Parameter> parameters, Options const& options);

    /// All gradients behind each other, float32 on the CPU (zeros where there is none), and the way back.
    [[nodiscard]] at::Tensor gradients() const;
    void set_gradients(at::Tensor const& all);
    [[nodiscard]] double gradient_norm() const;
    void scale_gradients(double factor);
    /// @param count  steps made including this one, from 1
    void step(double learning_rate, std::int64_t count);
    void clear_gradients();

    /// Parameters and moments by name, for a checkpoint.
    [[nodiscard]] NamedTensors state() const;
    void load(WeightReader& saved);

  private:
    /// Parameters of one decay group and what the fused step needs beside them.
    struct Group {
        double weight_decay;
        std::vector<std::string> names;
        std::vector<at::Tensor> values, first, second;
    };
    Options options_;
    std::vector<Group> groups_;
};

} // namespace tape
