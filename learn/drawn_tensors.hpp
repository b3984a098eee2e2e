#pragma once

#include "learn/named_tensors.hpp"

#include <ATen/core/Generator.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tape {

/// Fresh weights of a network under the names of its checkpoint, the same for the same seed and order of calls.
class DrawnTensors {
  public:
    explicit DrawnTensors(std::uint64_t seed);

    void normal(std::string const& name, std::vector<std::int64_t> const& shape, double deviation);
    /// Between -bound and bound.
    void uniform(std::string const& name, std::vector<std::int64_t> const& shape, double bound);
    void constant(std::string const& name, std::vector<std::int64_t> const& shape, double value);
    /// NAME.weight (out x in) and NAME.bias as PyTorch draws a Linear: uniform within 1 / sqrt(in).
    void linear(std::string const& name, std::int64_t out, std::int64_t in);
    /// The same as BERT draws it: NAME.weight normal, NAME.bias = 0.
    void normal_linear(std::string const& name, std::int64_t out, std::int64_t in, double deviation);
    /// NAME.weight = 1 and NAME.bias = 0.
    void norm(std::string const& name, std::int64_t width);

    [[nodiscard]] NamedTensors const& tensors() const noexcept { return tensors_; }

  private:
    at::Generator generator_;
    NamedTensors tensors_;
};

} // namespace tape
