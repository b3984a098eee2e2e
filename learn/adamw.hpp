#pragma once

#include "learn/named_tensors.hpp"

#include <vector>

namespace tape {

/// AdamW (Loshchilov & Hutter, ICLR 2019) with LibTorch's fused step; decay on matrices only. Parameters, gradients and
/// moments of a decay group lie behind each other in one tensor each; the parameters' own tensors become views of it.
class AdamW {
  public:
    struct Options {
        double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weight_decay = 0.01;
    };
    /// Gives every parameter a gradient of zeros.
    AdamW(std::vector<Parameter> parameters, Options const& options);

    /// All gradients behind each other, float32 on the CPU, and the way back.
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
    struct Group {
        double weight_decay;
        std::vector<std::string> names;
        std::vector<at::Tensor> parts;               ///< the parameters: views of `values`
        at::Tensor values, gradients, first, second; ///< all of them
    };
    [[nodiscard]] static std::vector<at::Tensor> parts_of(Group const& group, at::Tensor const& all);

    Options options_;
    std::vector<Group> groups_;
};

} // namespace tape
