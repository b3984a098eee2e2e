#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// A dense array in C order as NumPy stores it.
struct Array {
    enum class Type { float32, float64, int32, int64, uint8 };
    Type type = Type::float32;
    std::vector<std::size_t> shape;
    std::vector<std::byte> bytes;

    [[nodiscard]] std::size_t size() const;
    /// View of the values. @throws error if T is not the stored type.
    template <typename T> [[nodiscard]] std::span<T const> as() const;
    template <typename T> static Array from(std::span<T const> values, std::vector<std::size_t> shape);
};

/// All values, whatever the type.
std::vector<double> to_doubles(Array const& array);

/// Reads .npy format 1.0-3.0, little endian, both memory orders (Fortran order is transposed), numeric types only: half
/// is widened to float32, bool to uint8, other small integers to int32 and unsigned ones to int64. Object arrays, a
/// shape larger than the file, and truncation are data_error: nothing is executed, and nothing is allocated beyond the
/// file's size.
Array read_npy(std::filesystem::path const& file);
/// All arrays of a .npz (stored or deflated members), by name without ".npy".
std::map<std::string, Array> read_npz(std::filesystem::path const& file);

/// An .npy image in memory, as a zip member or a pickle holds it; `where` names it in errors.
Array parse_npy(std::string_view bytes, std::string const& where);

/// Values of NumPy's type `descr` ("<f4", "|b1", ...) as one of ours. @throws data_error naming `where` if the type is
/// none that can be read or `bytes` is not exactly the shape's size.
Array array_from_raw(std::string const& descr, std::vector<std::size_t> shape, bool fortran_order,
                     std::string_view bytes, std::string const& where);

void write_npy(std::filesystem::path const& file, Array const& array);

/// A file of named arrays in the making; atomic: appears under its name only on `close`.
class ArrayWriter {
  public:
    virtual ~ArrayWriter() = default;
    /// @throws error if the name was added before.
    virtual void add(std::string const& name, Array const& array) = 0;
    virtual void close() = 0;
};

/// Streams arrays into a .npz (zip64 when needed).
class NpzWriter final : public ArrayWriter {
  public:
    explicit NpzWriter(std::filesystem::path file);
    ~NpzWriter() override;
    void add(std::string const& name, Array const& array) override;
    void close() override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
