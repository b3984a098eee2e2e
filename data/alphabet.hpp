#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// Residue codes used in memory, in databases and in alignments: the 20 amino acids in alphabetical order of their
/// one-letter names, then gap and unknown.
using Residue = std::uint8_t;
inline constexpr std::string_view amino_acids = "ACDEFGHIKLMNPQRSTVWY";
inline constexpr int amino_acid_count = 20;
inline constexpr Residue gap_code = 20;
inline constexpr Residue unknown_code = 21;
inline constexpr Residue invalid_code = 255;

/// Code of a letter, upper or lower case. X, B, Z, J, U, O and `*` are `unknown_code`; `-` and `.` are `gap_code`;
/// anything else is `invalid_code`.
Residue residue_code(char letter) noexcept;

/// Letter of a code: amino acid, '-' for gap, 'X' for unknown.
char residue_letter(Residue code) noexcept;

/// Codes of a whole sequence. @throws data_error naming the first invalid letter and its position (from 1).
std::vector<Residue> encode_residues(std::string_view letters);
std::string decode_residues(std::vector<Residue> const& codes);

/// Background frequencies of the 20 amino acids in code order: Robinson & Robinson (PNAS 88:8880, 1991), as BLAST uses.
extern std::array<double, amino_acid_count> const background_frequencies;

} // namespace tape
