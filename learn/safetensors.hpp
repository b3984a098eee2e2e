#pragma once

#include "data/io.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

// The safetensors container: 8 bytes of header length (little endian), a JSON header, raw tensors without gaps.
// https://huggingface.co/docs/safetensors. No torch types here.
namespace tape {

enum class TensorType : std::uint8_t { f64, f32, f16, bf16, i64, i32, u8 };

std::size_t bytes_per_element(TensorType type) noexcept;
/// "F32", "BF16", ... as in the file's header.
std::string_view name_of(TensorType type) noexcept;

/// One tensor, C order. The bytes belong to whoever handed the view out, and need not be aligned.
struct TensorView {
    TensorType type = TensorType::f32;
    std::vector<std::int64_t> shape;
    std::span<std::byte const> bytes;
};

/// A memory-mapped safetensors file. Opening reads the header only; tensors are views into the map.
///
/// The header is trusted in nothing: its length, every offset, size, shape and type, UTF-8, duplicate names, overlaps
/// and gaps are checked, and no memory is taken that the file's own size does not bound.
class SafetensorsFile {
  public:
    /// @throws data_error naming the file and what is wrong with it
    explicit SafetensorsFile(std::filesystem::path const& file);

    [[nodiscard]] std::map<std::string, TensorView> const& tensors() const noexcept { return tensors_; }
    /// The header's `__metadata__`: strings only.
    [[nodiscard]] std::map<std::string, std::string> const& metadata() const noexcept { return metadata_; }
    [[nodiscard]] std::filesystem::path const& path() const noexcept { return path_; }
    /// The whole file, for hashing.
    [[nodiscard]] std::string_view bytes() const noexcept { return map_.bytes(); }

  private:
    std::filesystem::path path_;
    MappedFile map_;
    std::map<std::string, TensorView> tensors_;
    std::map<std::string, std::string> metadata_;
};

/// Writes tensors in the order of their names, 8-byte aligned; atomic, and the same bytes for the same content.
void write_safetensors(std::filesystem::path const& file, std::map<std::string, TensorView> const& tensors,
                       std::map<std::string, std::string> const& metadata = {});

} // namespace tape
