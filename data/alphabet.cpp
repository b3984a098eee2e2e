#include "data/alphabet.hpp"

#include "data/error.hpp"

namespace tape {
namespace {

constexpr std::array<Residue, 256> make_codes() {
    std::array<Residue, 256> codes{};
    codes.fill(invalid_code);
    auto const set = [&codes](char upper, Residue code) {
        codes[static_cast<unsigned char>(upper)] = code;
        if (upper >= 'A' && upper <= 'Z') codes[static_cast<unsigned char>(upper - 'A' + 'a')] = code;
    };
    for (std::size_t i = 0; i < amino_acids.size(); ++i) set(amino_acids[i], static_cast<Residue>(i));
    for (char const letter : std::string_view{"XBZJUO*"}) set(letter, unknown_code);
    set('-', gap_code);
    set('.', gap_code);
    return codes;
}

constexpr std::array<Residue, 256> codes = make_codes();

} // namespace

// Counts of Robinson & Robinson (1991), table 2, per thousand residues, as NCBI's blast_stat.c lists them; they are
// normalised here so that the twenty sum to one.
std::array<double, amino_acid_count> const background_frequencies = [] {
    std::array<double, amino_acid_count> frequencies{78.05, 19.25, 53.64, 62.95, 38.56, 73.77, 21.99,
                                                     51.42, 57.44, 90.19, 22.43, 44.87, 52.03, 42.64,
                                                     51.29, 71.20, 58.41, 64.41, 13.30, 32.16};
    double sum = 0;
    for (double const value : frequencies) sum += value;
    for (double& value : frequencies) value /= sum;
    return frequencies;
}();

Residue residue_code(char letter) noexcept { return codes[static_cast<unsigned char>(letter)]; }

char residue_letter(Residue code) noexcept {
    if (code < amino_acid_count) return amino_acids[code];
    return code == gap_code ? '-' : 'X';
}

std::vector<Residue> encode_residues(std::string_view letters) {
    std::vector<Residue> result(letters.size());
    for (std::size_t i = 0; i < letters.size(); ++i) {
        result[i] = residue_code(letters[i]);
        if (result[i] == invalid_code)
            throw data_error{"'" + std::string{letters[i]} + "' at position " + std::to_string(i + 1) +
                             " is no residue letter; expected the 20 amino acids or X, B, Z, J, U, O"};
    }
    return result;
}

std::string decode_residues(std::vector<Residue> const& residues) {
    std::string letters(residues.size(), 'X');
    for (std::size_t i = 0; i < residues.size(); ++i) letters[i] = residue_letter(residues[i]);
    return letters;
}

} // namespace tape
