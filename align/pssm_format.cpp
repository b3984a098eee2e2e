#include "align/pssm_format.hpp"

#include "align/line_reader.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <istream>
#include <numbers>
#include <ostream>

namespace tape {
namespace {

constexpr std::string_view file_order = "ARNDCQEGHILKMFPSTWYV";
constexpr double nats_a_unit = 0.3176; // ungapped lambda of BLOSUM62, as BLAST prints it

std::string cell(char const* format, auto value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

void write_columns(std::ostream& out, Pssm::Integers const& values, Eigen::Index row) {
    for (char const letter : file_order) out << cell("%4d", values(row, residue_code(letter)));
}

int whole_number(LineReader const& lines, std::string_view word, std::string_view what, int least, int most) {
    double const value = number_of(lines, word, what);
    if (value < least || value > most || value != std::floor(value))
        lines.fail("expected " + std::string{what} + ", saw " + shown(word));
    return static_cast<int>(value);
}

/// One position; words: number, residue, 20 scores, 20 percentages, two real numbers or none.
void read_position(LineReader const& lines, std::vector<std::string_view> const& words, Pssm& pssm) {
    std::size_t const position = pssm.length() + 1;
    if (words.size() != 42 && words.size() != 44)
        lines.fail("expected 44 words of position " + std::to_string(position) + " (or 42 without the last two), saw " +
                   std::to_string(words.size()));
    if (words[0] != std::to_string(position))
        lines.fail("expected position " + std::to_string(position) + ", saw " + shown(words[0]));
    Residue const code = residue_code(words[1].front());
    if (words[1].size() != 1 || code == invalid_code || code == gap_code)
        lines.fail("expected a residue, saw " + shown(words[1]));
    auto const row = static_cast<Eigen::Index>(position) - 1;
    if (row >= pssm.scores.rows()) {
        pssm.scores.conservativeResize(2 * row + 64, amino_acid_count);
        pssm.percentages.conservativeResize(2 * row + 64, amino_acid_count);
    }
    for (std::size_t a = 0; a < amino_acid_count; ++a) {
        Residue const column = residue_code(file_order[a]);
        pssm.scores(row, column) = whole_number(lines, words[2 + a], "a whole score", -32768, 32767);
        pssm.percentages(row, column) = whole_number(lines, words[22 + a], "a percentage from 0 to 100", 0, 100);
    }
    pssm.residues += residue_letter(code);
    auto const real = [&](std::size_t word) {
        // Positions without pseudocounts have an infinite relative weight.
        return words.size() <= word || words[word] == "inf"
                   ? 0.f
                   : static_cast<float>(number_of(lines, words[word], "a number"));
    };
    pssm.information.push_back(real(42)), pssm.relative_weight.push_back(real(43));
}

} // namespace

Pssm make_pssm(std::string residues, Profile const& profile, ProfileOptions const& options) {
    auto const length = static_cast<Eigen::Index>(residues.size());
    if (profile.scores.rows() != length)
        throw error{"a profile of " + std::to_string(profile.scores.rows()) + " columns for a query of " +
                    std::to_string(length) + " residues"};
    Pssm pssm{
        .residues = std::move(residues), .scores = {}, .percentages = {}, .information = {}, .relative_weight = {}};
    pssm.scores.resize(length, amino_acid_count), pssm.percentages.resize(length, amino_acid_count);
    for (Eigen::Index c = 0; c < length; ++c) {
        double information = 0;
        for (int a = 0; a < amino_acid_count; ++a) {
            double const bits = profile.scores(c, a), frequency = profile.frequencies(c, a);
            pssm.scores(c, a) = static_cast<int>(std::lround(bits * std::numbers::ln2 / nats_a_unit));
            // The small constant keeps what is 50% but for rounding at 50.
            pssm.percentages(c, a) = static_cast<int>(static_cast<double>(profile.counts(c, a)) * 100 + 1e-4);
            information += frequency * bits;
        }
        auto const column = static_cast<std::size_t>(c);
        double const tau = std::min(1.0, options.pseudocount_a / (1 + static_cast<double>(profile.neff_column[column]) /
                                                                          options.pseudocount_b));
        pssm.information.push_back(static_cast<float>(information));
        pssm.relative_weight.push_back((1 - profile.gap_fraction[column]) * static_cast<float>((1 - tau) / tau));
    }
    return pssm;
}

void write_pssm(std::ostream& out, Pssm const& pssm) {
    out << "\nLast position-specific scoring matrix computed, weighted observed percentages rounded down, information "
           "per "
           "position, and relative weight of gapless real matches to pseudocounts\n           ";
    for (int half = 0; half < 2; ++half)
        for (char const letter : file_order) out << "   " << letter;
    out << '\n';
    for (std::size_t c = 0; c < pssm.length(); ++c) {
        auto const row = static_cast<Eigen::Index>(c);
        out << cell("%5zu ", c + 1) << pssm.residues[c] << "    ";
        write_columns(out, pssm.scores, row);
        out << ' ';
        write_columns(out, pssm.percentages, row);
        out << cell("  %.2f", static_cast<double>(pssm.information[c]))
            << cell(" %.2f", static_cast<double>(pssm.relative_weight[c])) << '\n';
    }
    out << "\n                      K         Lambda\nStandard Ungapped    0.1340     0.3176\n"
           "Standard Gapped      0.0410     0.2670\nPSI Ungapped         0.1340     0.3176\n"
           "PSI Gapped           0.0410     0.2670\n";
}

Pssm read_pssm(std::istream& in, std::string const& name) {
    LineReader lines{in, name};
    lines.require("the heading 'Last position-specific scoring matrix'");
    if (!lines.text().starts_with("Last position-specific scoring matrix"))
        lines.fail("expected an ASCII PSSM of PSI-BLAST ('Last position-specific scoring matrix ...'), saw " +
                   shown(lines.text()));
    lines.require("the names of the columns");
    if (fields_of(lines.text()).size() != 40)
        lines.fail("expected the names of 40 columns (A R N D ...), saw " + shown(lines.text()));
    Pssm pssm;
    for (;;) {
        lines.require("the parameters 'K Lambda'");
        auto const words = fields_of(lines.text());
        if (words[0] == "K") break;
        read_position(lines, words, pssm);
    }
    if (pssm.length() == 0) lines.fail("no positions before the parameters");
    lines.require("the parameters 'Standard Ungapped' or 'PSI Ungapped'");
    if (lines.text().find("Ungapped") == std::string::npos)
        lines.fail("expected 'Standard Ungapped' or 'PSI Ungapped', saw " + shown(lines.text()));
    auto const length = static_cast<Eigen::Index>(pssm.length());
    pssm.scores.conservativeResize(length, amino_acid_count),
        pssm.percentages.conservativeResize(length, amino_acid_count);
    return pssm;
}

Pssm read_pssm(std::filesystem::path const& file) {
    auto const in = open_input(file);
    return read_pssm(*in, file.string());
}

} // namespace tape
