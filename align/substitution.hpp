#pragma once

#include "data/alphabet.hpp"

#include <array>
#include <cstdint>

namespace tape {

/// Codes that can stand in a sequence or a column: 20 amino acids, gap, unknown.
inline constexpr int residue_code_count = 22;

/// BLOSUM62 in half bits (Henikoff & Henikoff, PNAS 89:10915, 1992) by residue code. Unknown against anything is -1,
/// gap -4.
extern std::array<std::array<std::int8_t, residue_code_count>, residue_code_count> const blosum62;

/// PFASUM43 (Keul, Hess, Goesele & Hamacher, BMC Bioinformatics 18:293, 2017), in the unit FAMSA uses; by
/// residue code, amino acids only.
extern std::array<std::array<float, amino_acid_count>, amino_acid_count> const pfasum43;

/// Ungapped lambda of BLOSUM62 under `background_frequencies`, per half-bit unit: the root of sum p_a p_b exp(lambda
/// S_ab) = 1.
double blosum62_lambda();

/// conditional[b][a] = P(a | b): probability that a residue aligned to b is a, p_a exp(lambda S_ab) with rows
/// normalised. What substitution-matrix pseudocounts mix toward (Tatusov, Altschul & Koonin, PNAS 91:12091, 1994).
std::array<std::array<double, amino_acid_count>, amino_acid_count> const& blosum62_conditional();

} // namespace tape
