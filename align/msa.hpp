#pragma once

#include "data/alphabet.hpp"

#include <cstddef>
#include <filesystem>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// One row of a query-anchored alignment.
struct MsaRow {
    std::string id;
    std::string
        description; ///< rest of the header line; ours: "E=..., bits=..., identity=..., coverage=..., round=..."
    std::vector<Residue> columns; ///< L codes, one a query residue (gap_code where the row has none)
    std::string insertions;       ///< the row as A3M letters, with lower-case insertions; empty if there are none
};

/// Query-anchored multiple sequence alignment: N rows over the L residues of the query. Row 0 is the query, without
/// gaps.
struct Msa {
    std::vector<MsaRow> rows;
    std::string
        source; ///< where it came from, for the report: "search of starter.tdb", "bundled GFP_AEQVI_proteingym.a2m"

    [[nodiscard]] std::size_t depth() const { return rows.size(); }
    [[nodiscard]] std::size_t length() const { return rows.empty() ? 0 : rows.front().columns.size(); }
};

/// Reads A3M, A2M, aligned FASTA, Stockholm or Clustal (recognised by content; gz, xz, zst too; "-" is stdin). The
/// first row is the query; columns where it has a gap become insertions of the other rows.
///
/// Recognition: a first line `# STOCKHOLM` is Stockholm, one that begins with `CLUSTAL` is Clustal. Otherwise rows of
/// one common length share their columns (A2M, aligned FASTA), and rows of unequal length are A3M, where upper-case
/// letters and '-' are columns and lower-case letters insertions. Leading "#" lines and NUL bytes, as ColabFold writes
/// them, are skipped. A row without a name is called row-N. `source` is set to the file's name.
/// @throws data_error with file:line and record for rows of unequal length, invalid letters, a record without a
/// sequence,
///         an empty file, a query without residues, a Stockholm file that ends without "//" or holds two alignments.
Msa read_msa(std::filesystem::path const& file);

/// The same from an open stream; `name` stands for the file in messages.
Msa read_msa(std::istream& in, std::string const& name);

enum class MsaFormat { a3m, a2m, stockholm, aligned_fasta, clustal };

/// "a3m", "a2m", "sto", "fasta" or "aln", also the file extension. `msa_format` @throws usage_error naming the closest
/// one.
std::string_view to_string(MsaFormat format);
MsaFormat msa_format(std::string const& name);

/// Writes all rows. Every format reads back to the same columns and insertions, and all but Clustal to the same
/// descriptions. Stockholm and Clustal want distinct row names, so a repeated id gets "/2", "/3", ... appended, and one
/// that would read as a comment or an end (`#`, `//`) an underscore before it.
void write_msa(std::ostream& out, Msa const& msa, MsaFormat format);

/// A row of an alignment whose rows all have one width: A2M letters, which are upper case and '-' in columns, lower
/// case and '.' in insertions.
struct AlignedRow {
    std::string id, description, letters;
};

/// The same for rows that are already laid out; unlike in `Msa`, the first may have gaps.
void write_aligned(std::ostream& out, std::span<AlignedRow const> rows, MsaFormat format);

/// A row as A3M letters: upper case and '-' for the L columns, lower case for insertions.
std::string a3m_letters(MsaRow const& row);

/// Longest insertion before each column and after the last, L + 1 widths: the columns that insertions take in formats
/// where all rows have one length.
std::vector<std::size_t> insertion_widths(Msa const& msa);

/// An alignment of one row, for a protein without homologs. @throws data_error for a letter that is no residue.
Msa query_only_msa(std::string const& id, std::string const& residues, std::string source);

} // namespace tape
