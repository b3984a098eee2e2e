#include "align/hhm_format.hpp"

#include "align/line_reader.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <istream>
#include <numeric>
#include <ostream>

namespace tape {
namespace {

/// HH-suite's null model as its files state it: -1000 log2 p in the order ACDEFGHIKLMNPQRSTVWY.
constexpr std::array null_model{3706, 5728, 4211, 4064, 4839, 3729, 4763, 4308, 4069, 3323,
                                5509, 4640, 4464, 4937, 4285, 4423, 3815, 3783, 6325, 4665};

std::string cell(double probability) {
    if (probability <= 0) return "*";
    return std::to_string(std::lround(std::max(0.0, -1000 * std::log2(probability))));
}

template <typename Row> std::string cells(Row const& row) {
    std::string text;
    for (Eigen::Index i = 0; i < row.size(); ++i) text += cell(static_cast<double>(row(i))) + '\t';
    return text;
}

std::string thousandths(float neff) { return std::to_string(std::lround(neff * 1000)); }

void write_transitions(std::ostream& out, ProfileHmm const& hmm, std::size_t node) {
    out << "       " << cells(hmm.transitions.row(static_cast<Eigen::Index>(node)));
    if (node == 0)
        out << "*\t*\t*\t\n";
    else if (hmm.neff_match.empty())
        out << thousandths(static_cast<float>(hmm.effective_sequences)) << "\t0\t0\t\n\n";
    else
        out << thousandths(hmm.neff_match[node - 1]) << '\t' << thousandths(hmm.neff_insert[node]) << '\t'
            << thousandths(hmm.neff_delete[node - 1]) << "\t\n\n";
}

// ---- reading -------------------------------------------------------------------------------------------------------

double probability_of(LineReader const& lines, std::string_view word) {
    if (word == "*") return 0;
    double const value = number_of(lines, word, "-1000 log2 of a probability or '*'");
    if (value < 0) lines.fail("expected -1000 log2 of a probability, saw " + shown(word) + ", which is below 0");
    return std::exp2(-value / 1000);
}

/// Probabilities of `count` words from `first` on, made to sum to 1; refused if they do not within 5%.
std::vector<double> probabilities(LineReader const& lines, std::vector<std::string_view> const& words,
                                  std::size_t first, std::size_t count, std::string_view what) {
    std::vector<double> values;
    for (std::size_t i = first; i < first + count; ++i) values.push_back(probability_of(lines, words[i]));
    double const sum = std::accumulate(values.begin(), values.end(), 0.0);
    if (std::abs(sum - 1) > 0.05)
        lines.fail("the probabilities of the " + std::string{what} + " sum to " + std::to_string(sum) + ", not 1");
    for (double& value : values) value /= sum;
    return values;
}

void require_words(LineReader const& lines, std::vector<std::string_view> const& words, std::size_t count,
                   std::string_view what) {
    if (words.size() != count)
        lines.fail("expected " + std::to_string(count) + " words of " + std::string{what} + ", saw " +
                   std::to_string(words.size()));
}

void read_transitions(LineReader& lines, ProfileHmm& hmm, std::size_t node) {
    std::string const what = "the transitions of node " + std::to_string(node);
    lines.require(what);
    auto const words = fields_of(lines.text());
    require_words(lines, words, transition_count + 3, what);
    struct State {
        std::size_t first, count;
        char const* name;
    };
    for (auto const& [first, count, name] :
         {State{0, 3, "match transitions"}, State{3, 2, "insert transitions"}, State{5, 2, "delete transitions"}}) {
        // HH-suite writes '*' for both ways out of an insert or delete state that no row visits.
        bool const unused = first > 0 && words[first] == "*" && words[first + 1] == "*";
        auto const values = unused ? std::vector<double>{1, 0} : probabilities(lines, words, first, count, name);
        for (std::size_t t = 0; t < count; ++t)
            hmm.transitions(static_cast<Eigen::Index>(node), static_cast<Eigen::Index>(first + t)) =
                static_cast<float>(values[t]);
    }
    auto const neff = [&](std::size_t word) {
        return words[word] == "*" ? 0.f
                                  : static_cast<float>(number_of(lines, words[word], "a thousandfold Neff") / 1000);
    };
    hmm.neff_insert.push_back(neff(8));
    if (node > 0) hmm.neff_match.push_back(neff(7)), hmm.neff_delete.push_back(neff(9));
}

void read_match(LineReader& lines, ProfileHmm& hmm, std::size_t node) {
    std::string const what = "the emissions of node " + std::to_string(node);
    lines.require(what);
    auto const words = fields_of(lines.text());
    require_words(lines, words, amino_acid_count + 3, what);
    if (words[1] != std::to_string(node))
        lines.fail("expected node " + std::to_string(node) + ", saw " + shown(words[1]));
    Residue const code = residue_code(words[0].front());
    if (words[0].size() != 1 || code == invalid_code || code == gap_code)
        lines.fail("expected a residue, saw " + shown(words[0]));
    hmm.residues += residue_letter(code);
    auto const values = probabilities(lines, words, 2, amino_acid_count, "match emissions");
    for (std::size_t a = 0; a < amino_acid_count; ++a)
        hmm.match(static_cast<Eigen::Index>(node) - 1, static_cast<Eigen::Index>(a)) = static_cast<float>(values[a]);
}

/// Lines up to "HMM"; returns the number of match states.
std::size_t read_header(LineReader& lines, ProfileHmm& hmm) {
    std::size_t length = 0;
    bool sequences = false;
    for (lines.require("the header"); !lines.text().starts_with("HMM "); lines.require("the line 'HMM'")) {
        if (lines.text().starts_with("#")) sequences = false;
        if (sequences) continue;
        auto const words = fields_of(lines.text());
        auto const value = words.size() > 1 ? words[1] : std::string_view{};
        if (words[0] == "NAME") {
            hmm.name = value;
            if (words.size() > 2)
                hmm.description =
                    lines.text().substr(lines.text().find(words[2], value.data() + value.size() - lines.text().data()));
        }
        if (words[0] == "LENG") length = count_of(lines, value, "a number of match states of 1 or more", 1);
        if (words[0] == "NEFF") hmm.effective_sequences = number_of(lines, value, "Neff");
        if (words[0] == "FILT" && words.size() > 4) hmm.sequences = count_of(lines, words[4], "a number of sequences");
        if (words[0] == "SEQ") sequences = true;
    }
    if (length == 0) lines.fail("no LENG line before 'HMM'; the header is damaged");
    return length;
}

} // namespace

void write_hhm(std::ostream& out, ProfileHmm const& hmm) {
    double const neff = hmm.neff_match.empty() ? hmm.effective_sequences
                                               : std::accumulate(hmm.neff_match.begin(), hmm.neff_match.end(), 0.0) /
                                                     static_cast<double>(hmm.neff_match.size());
    char neff_text[32];
    std::snprintf(neff_text, sizeof neff_text, "%.1f", neff);
    std::string const name = hmm.name.empty() ? "query" : hmm.name;
    std::string const title = name + (hmm.description.empty() ? "" : " " + hmm.description);
    out << "HHsearch 1.5\nNAME  " << title << "\nFAM   \nLENG  " << hmm.length() << " match states, " << hmm.length()
        << " columns in multiple alignment\nFILT  " << hmm.sequences << " out of " << hmm.sequences
        << " sequences passed filter\nNEFF  " << neff_text << "\nSEQ\n>" << title << '\n'
        << hmm.residues << "\n#\nNULL   ";
    for (int const value : null_model) out << value << '\t';
    out << "\nHMM    ";
    for (char const letter : amino_acids) out << letter << '\t';
    out << "\n       M->M\tM->I\tM->D\tI->M\tI->I\tD->M\tD->D\tNeff\tNeff_I\tNeff_D\n";
    for (std::size_t k = 0; k <= hmm.length(); ++k) {
        if (k > 0)
            out << hmm.residues[k - 1] << ' ' << k
                << std::string(std::to_string(k).size() < 5 ? 5 - std::to_string(k).size() : 1, ' ')
                << cells(hmm.match.row(static_cast<Eigen::Index>(k) - 1)) << k << '\n';
        write_transitions(out, hmm, k);
    }
    out << "//\n";
}

ProfileHmm read_hhm(std::istream& in, std::string const& name) {
    LineReader lines{in, name};
    lines.require("the format line 'HHsearch 1.5'");
    if (!lines.text().starts_with("HHsearch"))
        lines.fail("expected an HH-suite profile ('HHsearch 1.5'), saw " + shown(lines.text()));
    ProfileHmm hmm;
    auto const length = static_cast<Eigen::Index>(read_header(lines, hmm));
    lines.require("the names of the transitions");
    // The matrices grow with the file, so that a damaged length cannot ask for memory.
    hmm.transitions.resize(1, transition_count);
    read_transitions(lines, hmm, 0);
    for (Eigen::Index k = 1; k <= length; ++k) {
        if (k > hmm.match.rows()) {
            Eigen::Index const room = std::min(length, 2 * hmm.match.rows() + 64);
            hmm.match.conservativeResize(room, amino_acid_count);
            hmm.transitions.conservativeResize(room + 1, transition_count);
        }
        read_match(lines, hmm, static_cast<std::size_t>(k));
        read_transitions(lines, hmm, static_cast<std::size_t>(k));
    }
    lines.require("'//'");
    if (!lines.text().starts_with("//"))
        lines.fail("expected '//' after node " + std::to_string(length) + ", saw " + shown(lines.text()));
    hmm.insert.resize(length + 1, amino_acid_count);
    for (Eigen::Index k = 0; k <= length; ++k)
        for (int a = 0; a < amino_acid_count; ++a) hmm.insert(k, a) = static_cast<float>(hmmer_insertions[a]);
    return hmm;
}

ProfileHmm read_hhm(std::filesystem::path const& file) {
    auto const in = open_input(file);
    return read_hhm(*in, file.string());
}

} // namespace tape
