#include "data/alphabet.hpp"

#include "tests/data/scratch.hpp"

#include <cmath>
#include <numeric>

namespace tape {
namespace {

TEST(Alphabet, EveryByteHasTheCodeTheHeaderStates) {
    std::string const unknown = "XBZJUO";
    for (int byte = 0; byte < 256; ++byte) {
        char const letter = static_cast<char>(byte);
        char const upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 32) : letter;
        Residue expected = invalid_code;
        if (auto const at = amino_acids.find(upper); at != std::string_view::npos && upper != '\0')
            expected = static_cast<Residue>(at);
        else if (unknown.find(upper) != std::string::npos || letter == '*')
            expected = unknown_code;
        else if (letter == '-' || letter == '.')
            expected = gap_code;
        EXPECT_EQ(residue_code(letter), expected) << byte;
    }
}

TEST(Alphabet, DecodingInvertsEncoding) {
    std::string const letters = std::string{amino_acids} + "-X";
    EXPECT_EQ(decode_residues(encode_residues(letters)), letters);
    EXPECT_EQ(decode_residues(encode_residues("acbzu.*")), "ACXXX-X");
}

TEST(Alphabet, NamesTheFirstInvalidLetter) {
    auto const outcome = test::outcome_of([] { encode_residues("MK1V?"); });
    EXPECT_EQ(outcome.message,
              "'1' at position 3 is no residue letter; expected the 20 amino acids or X, B, Z, J, U, O");
    EXPECT_EQ(outcome.code, exit_code::bad_data);
}

TEST(Alphabet, BackgroundIsRobinsonAndRobinsons) {
    EXPECT_NEAR(std::accumulate(background_frequencies.begin(), background_frequencies.end(), 0.0), 1, 1e-12);
    // Entropy of these frequencies: 4.19 bits (Altschul & Gish, Methods Enzymol 266:460, 1996, use the same set).
    double entropy = 0;
    for (double const p : background_frequencies) entropy -= p * std::log2(p);
    EXPECT_NEAR(entropy, 4.19, 0.005);
    EXPECT_NEAR(background_frequencies[residue_code('L')], 0.09019, 1e-5);
    EXPECT_NEAR(background_frequencies[residue_code('W')], 0.0133, 1e-5);
}

} // namespace
} // namespace tape
