#pragma once

#include "learn/safetensors.hpp"

#include <torch/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

// Between files of named tensors and LibTorch.
namespace tape {

using NamedTensors = std::map<std::string, at::Tensor>;

/// A leaf to be trained.
struct Parameter {
    std::string name;
    at::Tensor value;
    bool decays; ///< whether weight decay applies to it: matrices, not biases or norms
};

/// A tensor over the view's bytes (no copy) where they are aligned, else a copy. `view` must outlive it.
at::Tensor tensor_over(TensorView const& view);
/// The view of a contiguous CPU tensor. @throws error for a type safetensors cannot hold
TensorView view_of(at::Tensor const& tensor);

void save_tensors(std::filesystem::path const& file, NamedTensors const& tensors,
                  std::map<std::string, std::string> const& metadata = {});

/// Takes a model's tensors out of a checkpoint one by one, so that each is used or named as unused.
class WeightReader {
  public:
    /// @param origin  the file or folder, for messages
    WeightReader(NamedTensors tensors, std::string origin) : tensors_{std::move(tensors)}, origin_{std::move(origin)} {}

    [[nodiscard]] bool has(std::string const& name) const { return tensors_.contains(name); }
    /// Whether the name of any tensor begins so.
    [[nodiscard]] bool has_any(std::string const& prefix) const;
    /// The first of `names` that exists, as float32 of that shape, copied out of any map.
    /// @throws data_error naming the tensor when it is missing, has another shape or holds NaN or infinity
    at::Tensor take(std::vector<std::string> const& names, std::vector<std::int64_t> const& shape);
    at::Tensor take(std::string const& name, std::vector<std::int64_t> const& shape) {
        return take(std::vector{name}, shape);
    }
    /// Marks tensors that are known and need no loading.
    void ignore(std::string const& name) { used_.insert(name); }
    [[nodiscard]] std::vector<std::string> unused() const;
    [[nodiscard]] std::vector<std::int64_t> shape_of(std::string const& name) const;
    [[nodiscard]] std::string const& origin() const noexcept { return origin_; }

  private:
    NamedTensors tensors_;
    std::string origin_;
    std::set<std::string> used_;
};

} // namespace tape
