#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace tape {

/// Opens for reading; "-" is stdin. gz (also many members: bgzf), xz and zst are recognised by content, not by name.
/// A truncated or damaged stream raises data_error naming the file while it is being read, never a silent end.
/// @throws data_error if the file is missing, unreadable or a directory.
std::unique_ptr<std::istream> open_input(std::filesystem::path const& file);

/// Whole content, decompressed. @throws data_error beyond `limit` bytes (guards against decompression bombs).
std::string read_text(std::filesystem::path const& file, std::uint64_t limit = std::uint64_t{8} << 30);

/// A file that exists whole or not at all: written under a temporary name beside its target and renamed by `commit`.
/// Without `commit` (an exception, say) the temporary file is removed. `commit` flushes, checks every write and throws
/// tape::error ("no space left on device", the path) when one failed. "-" writes to stdout. A name that ends in .gz,
/// .xz or .zst is compressed.
class AtomicFile {
  public:
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile();
    AtomicFile(AtomicFile const&) = delete;
    AtomicFile& operator=(AtomicFile const&) = delete;
    [[nodiscard]] std::ostream& stream();
    void commit();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// AtomicFile in one call.
void write_atomically(std::filesystem::path const& target, std::function<void(std::ostream&)> const& write);
void write_text(std::filesystem::path const& target, std::string_view text);

/// Temporary-name form for libraries that insist on opening a path themselves: calls `write` with the temporary path,
/// then renames. Removed on an exception.
void write_path_atomically(std::filesystem::path const& target,
                           std::function<void(std::filesystem::path const&)> const& write);

/// Read-only memory map of a whole file. An empty file maps to an empty view.
class MappedFile {
  public:
    explicit MappedFile(std::filesystem::path const& file);
    ~MappedFile();
    MappedFile(MappedFile&&) noexcept;
    MappedFile& operator=(MappedFile&&) noexcept;
    [[nodiscard]] std::string_view bytes() const noexcept { return {data_, size_}; }

  private:
    char const* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace tape
