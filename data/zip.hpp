#pragma once

#include "data/io.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace tape {

/// A zip archive (.npz, .whl) read through a memory map: stored and deflated members, zip64, checksums verified
/// (PKWARE's APPNOTE 6.3.9). Encrypted and split archives are refused.
///
/// Safe with hostile files: every offset is checked against the file, names are only ever compared, and a member is
/// refused when it unpacks to anything but the size its directory entry gives.
class ZipReader {
  public:
    struct Member {
        std::string name;
        std::uint64_t compressed_size = 0, size = 0, header_offset = 0;
        std::uint32_t checksum = 0; ///< CRC-32
        std::uint16_t method = 0;   ///< 0 stored, 8 deflated
    };

    /// @throws data_error if the file is no zip archive or is truncated.
    explicit ZipReader(std::filesystem::path file);

    [[nodiscard]] std::vector<Member> const& members() const { return members_; }
    /// @throws data_error naming archive and member if it is damaged.
    [[nodiscard]] std::string read(Member const& member) const;
    /// The same without a copy, of a member that is stored; lives as long as the reader.
    [[nodiscard]] std::string_view stored(Member const& member) const;
    /// The whole archive, for hashing.
    [[nodiscard]] std::string_view bytes() const { return map_.bytes(); }

  private:
    void read_directory();
    [[noreturn]] void damaged(std::string const& what) const;
    [[nodiscard]] std::uint64_t number(std::uint64_t offset, int bytes) const;
    [[nodiscard]] Member directory_entry(std::uint64_t offset) const;
    [[nodiscard]] std::string_view packed(Member const& member) const;
    void check(Member const& member, std::string_view plain) const;

    std::filesystem::path file_;
    MappedFile map_;
    std::vector<Member> members_;
};

/// Streams stored members into a zip archive; zip64 records appear only where a size or offset needs them. Dates are
/// fixed at 1980-01-01, so the same content gives the same bytes.
class ZipWriter {
  public:
    explicit ZipWriter(std::ostream& out) : out_{out} {}
    /// One member made of two parts written after each other. @throws error if the name was added before.
    void add(std::string const& name, std::string_view head, std::string_view body);
    /// The central directory. Nothing may be added afterwards.
    void finish();

  private:
    void put(std::string_view bytes);
    std::ostream& out_;
    std::uint64_t offset_ = 0;
    std::vector<ZipReader::Member> members_;
    std::unordered_set<std::string> names_;
};

} // namespace tape
