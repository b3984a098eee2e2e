#pragma once

#include "data/io.hpp"
#include "data/zip.hpp"
#include "learn/safetensors.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tape {

/// A tensor inside a storage that others may share. No torch types here.
struct StridedView {
    TensorType type = TensorType::f32;
    std::vector<std::int64_t> shape, strides; ///< strides in elements
    std::int64_t offset = 0;                  ///< of the first element, in elements
    std::span<std::byte const> storage;       ///< whole; need not be aligned
};

/// What PyTorch's `torch.save` wrote (`pytorch_model.bin`, `.pt`): the zip archive of version 1.6 and later, or the
/// form before it. https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
///
/// Dictionaries, OrderedDicts and argparse Namespaces are laid flat: "cfg.model.encoder_layers". Nothing is executed:
/// tensors and plain values are rebuilt here, any other name that the file asks for is refused. A tensor must lie
/// inside its storage and hold no more elements than it, so that no copy outgrows the file.
class TorchFile {
  public:
    /// @throws data_error naming the file, the tensor and what was refused
    explicit TorchFile(std::filesystem::path const& file);

    /// Views into the file; they live as long as this object.
    [[nodiscard]] std::map<std::string, StridedView> const& tensors() const noexcept { return tensors_; }
    using Value = std::variant<bool, long long, double, std::string>;
    [[nodiscard]] std::map<std::string, Value> const& values() const noexcept { return values_; }
    /// The whole file, for hashing.
    [[nodiscard]] std::string_view bytes() const;

  private:
    friend class TorchReader;
    std::optional<ZipReader> archive_;
    std::optional<MappedFile> plain_;
    std::map<std::string, StridedView> tensors_;
    std::map<std::string, Value> values_;
};

} // namespace tape
