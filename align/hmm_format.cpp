#include "align/hmm_format.hpp"

#include "align/line_reader.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <istream>
#include <ostream>

namespace tape {
namespace {

/// A probability as the file shows it, nine characters wide.
std::string cell(float probability) {
    if (probability <= 0) return "        *";
    char text[32];
    std::snprintf(text, sizeof text, " %8.5f", std::max(0.0, -std::log(static_cast<double>(probability))));
    return text;
}

template <typename Row> std::string cells(Row const& row) {
    std::string text;
    for (Eigen::Index i = 0; i < row.size(); ++i) text += cell(row(i));
    return text;
}

template <typename... Values> std::string formatted(char const* format, Values... values) {
    char text[128];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

/// Mean composition of the sequences that the model emits: match and insert emissions by how often they are used.
Eigen::Matrix<float, 1, amino_acid_count> composition(ProfileHmm const& hmm) {
    auto const occupancy = match_occupancy(hmm);
    Eigen::Matrix<float, 1, amino_acid_count> sum = Eigen::Matrix<float, 1, amino_acid_count>::Zero();
    for (std::size_t k = 0; k <= hmm.length(); ++k) {
        auto const node = static_cast<Eigen::Index>(k);
        auto const match = static_cast<float>(k == 0 ? 1.0 : occupancy[k - 1]);
        if (k > 0) sum += match * hmm.match.row(node - 1);
        float const leave = hmm.transitions(node, insert_match);
        if (leave > 0) sum += match * hmm.transitions(node, match_insert) / leave * hmm.insert.row(node);
    }
    return sum / sum.sum();
}

char consensus_letter(ProfileHmm const& hmm, Eigen::Index node) {
    Eigen::Index best = 0;
    float const probability = hmm.match.row(node).maxCoeff(&best);
    char const letter = amino_acids[static_cast<std::size_t>(best)];
    return probability >= 0.5f ? letter : static_cast<char>(letter - 'A' + 'a');
}

// ---- reading -------------------------------------------------------------------------------------------------------

/// Probabilities of `count` words from `first` on; they sum to 1 within 1%, or the line is refused.
std::vector<float> probabilities(LineReader const& lines, std::vector<std::string_view> const& words, std::size_t first,
                                 std::size_t count, std::string_view what) {
    if (words.size() < first + count)
        lines.fail("expected " + std::to_string(count) + " values of the " + std::string{what} + ", saw " +
                   std::to_string(words.size() - std::min(first, words.size())));
    std::vector<float> values;
    double sum = 0;
    for (std::size_t i = first; i < first + count; ++i) {
        double const score = words[i] == "*" ? INFINITY : number_of(lines, words[i], "a -log probability or '*'");
        if (score < 0) lines.fail("expected a -log probability, saw " + shown(words[i]) + ", which is below 0");
        values.push_back(static_cast<float>(std::exp(-score))), sum += std::exp(-score);
    }
    if (std::abs(sum - 1) > 0.01)
        lines.fail("the probabilities of the " + std::string{what} + " sum to " + formatted("%.4f", sum) + ", not 1");
    return values;
}

void read_transitions(LineReader& lines, ProfileHmm& hmm, Eigen::Index node) {
    lines.require("the transitions of node " + std::to_string(node));
    auto const words = fields_of(lines.text());
    if (words.size() != transition_count) lines.fail("expected 7 transitions, saw " + counted(words.size(), "word"));
    for (auto const& [first, size, what] :
         {std::tuple{0, 3, "match transitions"}, {3, 2, "insert transitions"}, {5, 2, "delete transitions"}}) {
        auto const values =
            probabilities(lines, words, static_cast<std::size_t>(first), static_cast<std::size_t>(size), what);
        for (int t = 0; t < size; ++t) hmm.transitions(node, first + t) = values[static_cast<std::size_t>(t)];
    }
}

void read_insertions(LineReader& lines, ProfileHmm& hmm, Eigen::Index node) {
    lines.require("the insert emissions of node " + std::to_string(node));
    auto const values = probabilities(lines, fields_of(lines.text()), 0, amino_acid_count, "insert emissions");
    for (int a = 0; a < amino_acid_count; ++a) hmm.insert(node, a) = values[static_cast<std::size_t>(a)];
}

/// What the header says.
struct Header {
    std::size_t length = 0;
    bool reference = false;
    HmmStatistics statistics;
    int statistics_lines = 0;
};

void read_statistics(LineReader const& lines, std::vector<std::string_view> const& words, Header& header) {
    if (words.size() != 5 || words[1] != "LOCAL")
        lines.fail("expected 'STATS LOCAL' with a name and two numbers, saw " + shown(lines.text()));
    double const location = number_of(lines, words[3], "a location"), lambda = number_of(lines, words[4], "a slope");
    if (lambda <= 0) lines.fail("expected a slope above 0, saw " + shown(words[4]));
    if (words[2] == "MSV" || words[2] == "MLAMBDA")
        header.statistics.msv_mu = location;
    else if (words[2] == "VITERBI")
        header.statistics.viterbi_mu = location;
    else if (words[2] == "FORWARD")
        header.statistics.forward_tau = location;
    else
        lines.fail("expected statistics of MSV, VITERBI or FORWARD, saw " + shown(words[2]));
    header.statistics.lambda = lambda, ++header.statistics_lines;
}

Header read_header(LineReader& lines, ProfileHmm& hmm) {
    Header header;
    for (lines.require("the header"); !lines.text().starts_with("HMM "); lines.require("the line 'HMM'")) {
        auto const words = fields_of(lines.text());
        auto const value = words.size() > 1 ? words[1] : std::string_view{};
        if (words[0] == "NAME") hmm.name = value;
        if (words[0] == "DESC" && words.size() > 1) hmm.description = lines.text().substr(lines.text().find(value));
        if (words[0] == "LENG") header.length = count_of(lines, value, "a model length of 1 or more", 1);
        if (words[0] == "NSEQ") hmm.sequences = count_of(lines, value, "a number of sequences");
        if (words[0] == "EFFN") hmm.effective_sequences = number_of(lines, value, "an effective number of sequences");
        if (words[0] == "RF") header.reference = value == "yes";
        if (words[0] == "ALPH" && value != "amino")
            lines.fail("expected the alphabet amino, saw " + shown(value) + "; only models of proteins are read");
        if (words[0] == "STATS") read_statistics(lines, words, header);
    }
    if (header.length == 0) lines.fail("no LENG line before 'HMM'; the header is damaged");
    if (fields_of(lines.text()).size() != 1 + amino_acid_count)
        lines.fail("expected the 20 residues ACDEFGHIKLMNPQRSTVWY after 'HMM', saw " + shown(lines.text()));
    return header;
}

/// A node's line: number, 20 emissions, then MAP, CONS, RF, ... Returns its letters of CONS and RF.
std::pair<char, char> read_match(LineReader& lines, ProfileHmm& hmm, std::size_t node) {
    lines.require("node " + std::to_string(node));
    auto const words = fields_of(lines.text());
    if (words[0] != std::to_string(node))
        lines.fail("expected node " + std::to_string(node) + ", saw " + shown(words[0]));
    auto const values = probabilities(lines, words, 1, amino_acid_count, "match emissions");
    for (int a = 0; a < amino_acid_count; ++a)
        hmm.match(static_cast<Eigen::Index>(node) - 1, a) = values[static_cast<std::size_t>(a)];
    auto const letter = [&](std::size_t column) { return words.size() > column ? words[column].front() : '-'; };
    return {letter(amino_acid_count + 2), letter(amino_acid_count + 3)};
}

} // namespace

void write_hmmer(std::ostream& out, ProfileHmm const& hmm) {
    out << "HMMER3/f [tape]\nNAME  " << (hmm.name.empty() ? "query" : hmm.name) << '\n';
    if (!hmm.description.empty()) out << "DESC  " << hmm.description << '\n';
    out << "LENG  " << hmm.length() << "\nALPH  amino\nRF    yes\nMM    no\nCONS  yes\nCS    no\nMAP   no\nNSEQ  "
        << hmm.sequences << "\nEFFN  " << formatted("%f", hmm.effective_sequences) << '\n';
    if (hmm.statistics) {
        auto const& s = *hmm.statistics;
        out << formatted("STATS LOCAL MSV      %8.4f %8.5f\n", s.msv_mu, s.lambda)
            << formatted("STATS LOCAL VITERBI  %8.4f %8.5f\n", s.viterbi_mu, s.lambda)
            << formatted("STATS LOCAL FORWARD  %8.4f %8.5f\n", s.forward_tau, s.lambda);
    }
    out << "HMM     ";
    for (char const letter : amino_acids) out << "     " << letter << "   ";
    out << "\n            m->m     m->i     m->d     i->m     i->i     d->m     d->d\n  COMPO "
        << cells(composition(hmm)) << '\n';
    for (std::size_t k = 0; k <= hmm.length(); ++k) {
        auto const node = static_cast<Eigen::Index>(k);
        if (k > 0)
            out << formatted("%7zu ", k) << cells(hmm.match.row(node - 1)) << "      - "
                << consensus_letter(hmm, node - 1) << ' ' << hmm.residues[k - 1] << " - -\n";
        out << "        " << cells(hmm.insert.row(node)) << "\n        " << cells(hmm.transitions.row(node)) << '\n';
    }
    out << "//\n";
}

ProfileHmm read_hmmer(std::istream& in, std::string const& name) {
    LineReader lines{in, name};
    lines.require("the format line 'HMMER3/...'");
    if (!lines.text().starts_with("HMMER3/"))
        lines.fail("expected a HMMER3 text file ('HMMER3/f ...'), saw " + shown(lines.text()) +
                   "; convert other versions with hmmconvert");
    ProfileHmm hmm;
    Header const header = read_header(lines, hmm);
    auto const length = static_cast<Eigen::Index>(header.length);
    lines.require("the names of the transitions");
    lines.require("node 0");
    bool const has_composition = fields_of(lines.text()).front() == "COMPO";
    // The matrices grow with the file, so that a damaged length cannot ask for memory.
    hmm.match.resize(0, amino_acid_count), hmm.insert.resize(1, amino_acid_count),
        hmm.transitions.resize(1, transition_count);
    if (has_composition) {
        read_insertions(lines, hmm, 0);
    } else {
        auto const values = probabilities(lines, fields_of(lines.text()), 0, amino_acid_count, "insert emissions");
        for (int a = 0; a < amino_acid_count; ++a) hmm.insert(0, a) = values[static_cast<std::size_t>(a)];
    }
    read_transitions(lines, hmm, 0);
    std::string consensus, reference;
    for (Eigen::Index k = 1; k <= length; ++k) {
        if (k > hmm.match.rows()) {
            Eigen::Index const room = std::min(length, 2 * hmm.match.rows() + 64);
            hmm.match.conservativeResize(room, amino_acid_count);
            hmm.insert.conservativeResize(room + 1, amino_acid_count);
            hmm.transitions.conservativeResize(room + 1, transition_count);
        }
        auto const [cons, rf] = read_match(lines, hmm, static_cast<std::size_t>(k));
        consensus += cons, reference += rf;
        read_insertions(lines, hmm, k);
        read_transitions(lines, hmm, k);
    }
    lines.require("'//'");
    if (!lines.text().starts_with("//"))
        lines.fail("expected '//' after node " + std::to_string(length) + ", saw " + shown(lines.text()));
    bool const named = header.reference && std::ranges::all_of(reference, [](char c) {
                           return c != 'x' && residue_code(c) != invalid_code && residue_code(c) != gap_code;
                       });
    for (std::size_t k = 0; k < header.length; ++k) {
        Eigen::Index best = 0;
        hmm.match.row(static_cast<Eigen::Index>(k)).maxCoeff(&best);
        Residue const code = residue_code(consensus[k]);
        hmm.residues += named                     ? residue_letter(residue_code(reference[k]))
                        : code < amino_acid_count ? residue_letter(code)
                                                  : residue_letter(static_cast<Residue>(best));
    }
    if (header.statistics_lines >= 3) hmm.statistics = header.statistics;
    return hmm;
}

ProfileHmm read_hmmer(std::filesystem::path const& file) {
    auto const in = open_input(file);
    return read_hmmer(*in, file.string());
}

} // namespace tape
