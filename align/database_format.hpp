#pragma once

#include "align/database.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

// The file layout of database.hpp, shared by what reads and what writes it.
namespace tape::detail {

struct DatabaseHeader {
    std::array<char, 8> magic;
    std::uint32_t version, byte_order;
    std::uint64_t sequences, residues, text_bytes, file_bytes;
    std::uint64_t residue_offsets_at, text_offsets_at, residues_at, text_at;
    std::array<std::uint64_t, 5> reserved;
    std::uint64_t checksum; ///< XXH3-64 of all fields before
};
static_assert(sizeof(DatabaseHeader) == 128);

/// The header that these counts lead to; what a file's header must equal.
DatabaseHeader database_layout(std::uint64_t sequences, std::uint64_t residues, std::uint64_t text_bytes);

/// What a database is written from: its sequences in order of length, one section at a time. Each function hands what
/// its section holds to its argument, front to back; codes and lines in pieces of any size.
struct DatabaseContent {
    using Size = std::function<void(std::uint64_t)>;
    using Bytes = std::function<void(std::string_view)>;

    std::uint64_t sequences = 0, residues = 0, text_bytes = 0;
    std::function<void(Size const&)> lengths, line_sizes; ///< one of each a sequence
    std::function<void(Bytes const&)> codes, lines;
};

/// Atomic. @throws data_error if there are no sequences or more than 2^32 - 2.
BuildSummary write_database(std::filesystem::path const& output, DatabaseContent const& content);

} // namespace tape::detail
