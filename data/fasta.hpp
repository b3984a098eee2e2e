#pragma once

#include "data/record.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace tape {

/// Strictness of `read_fasta`. Letters that are no residue are always an error; a trailing `*` is dropped.
struct FastaOptions {
    bool allow_duplicate_ids = false;
    bool allow_empty = false; ///< a file without records is an error unless set
    /// Called with the message of a bad record, which is then left out; without it, the first bad record is an error.
    std::function<void(std::string const& message)> skip_bad_record = {};
};

/// All records of a FASTA file ("-" is stdin; gz, bgzf, xz and zst are recognised by content). Lower case is read as
/// upper case; CRLF line ends and blank lines are fine.
/// @throws data_error with file:line, record and value on an unknown letter, an empty record, a duplicate id, text
/// before
///         the first '>' or a truncated compressed stream. Gap letters are an error that points to aligned input.
std::vector<Protein> read_fasta(std::filesystem::path const& file, FastaOptions const& options = {});

/// The same, one record at a time. Memory: the longest record, and the ids unless duplicates are allowed.
void for_each_fasta(std::filesystem::path const& file, std::function<void(Protein&&)> const& visit,
                    FastaOptions const& options = {});

/// The same with the number of the record's header line, for messages.
void for_each_fasta(std::filesystem::path const& file, std::function<void(Protein&&, std::uint64_t line)> const& visit,
                    FastaOptions const& options = {});

/// The same for a part of a file that starts with a record, after `lines_before` lines; messages call the file `name`.
void for_each_fasta(std::istream& in, std::string const& name, std::uint64_t lines_before,
                    std::function<void(Protein&&, std::uint64_t line)> const& visit, FastaOptions const& options = {});

/// 60 letters a line.
void write_fasta(std::ostream& out, std::vector<Protein> const& proteins);

} // namespace tape
