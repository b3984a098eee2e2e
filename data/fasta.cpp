#include "data/fasta.hpp"

#include "data/error.hpp"
#include "data/io.hpp"
#include "data/text.hpp"

#include <array>
#include <cstdint>
#include <istream>
#include <ostream>
#include <unordered_map>

namespace tape {
namespace {

/// Upper-case residue letter, or 0 for a byte that needs a closer look.
constexpr std::array<char, 256> make_upper() {
    std::array<char, 256> upper{};
    for (char letter = 'A'; letter <= 'Z'; ++letter) {
        upper[static_cast<unsigned char>(letter)] = letter;
        upper[static_cast<unsigned char>(letter - 'A' + 'a')] = letter;
    }
    return upper;
}
constexpr std::array<char, 256> upper_case = make_upper();

class FastaReader {
  public:
    FastaReader(std::istream& in, std::string name, std::uint64_t lines_before,
                std::function<void(Protein&&, std::uint64_t)> const& visit, FastaOptions const& options)
        : name_{std::move(name)}, visit_{visit}, options_{options}, in_{in}, line_number_{lines_before} {}

    void read() {
        std::string line;
        while (std::getline(in_, line)) {
            ++line_number_;
            while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
            if (line.empty()) continue;
            if (line[0] == '>')
                start_record(line);
            else if (!in_record_)
                reject_text(line);
            else
                add_residues(line);
        }
        finish_record();
        if (records_ == 0 && !options_.allow_empty)
            throw data_error{name_ + ": no records; expected FASTA, '>' and an id on the first line"};
    }

  private:
    [[nodiscard]] std::string where() const { return name_ + ":" + std::to_string(line_number_) + ": "; }

    /// Throws, or marks the record as one to leave out.
    void reject(std::string const& message) {
        if (!options_.skip_bad_record) throw data_error{message};
        if (!bad_) options_.skip_bad_record(message);
        bad_ = true;
    }

    [[noreturn]] void reject_text(std::string const& line) const {
        throw data_error{where() + shown(line) + " before the first '>'; expected FASTA, '>' and an id"};
    }

    void start_record(std::string const& line) {
        finish_record();
        in_record_ = true, bad_ = false, stop_seen_ = false;
        ++records_;
        header_line_ = line_number_;
        std::size_t const end = std::min(line.find_first_of(" \t"), line.size());
        std::size_t const rest = std::min(line.find_first_not_of(" \t", end), line.size());
        protein_ = {line.substr(1, end - 1), line.substr(rest), {}};
        if (protein_.id.empty())
            return reject(where() + "header " + shown(line) + " has no id; expected '>' and an id");
        if (options_.allow_duplicate_ids) return;
        if (auto const [first, fresh] = ids_.try_emplace(protein_.id, line_number_); !fresh)
            reject(where() + "duplicate id " + shown(protein_.id) + ", first seen on line " +
                   std::to_string(first->second) + "; ids must be unique");
    }

    void add_residues(std::string const& line) {
        std::size_t const old_size = protein_.residues.size();
        protein_.residues.resize(old_size + line.size());
        char* const out = protein_.residues.data() + old_size;
        bool clean = !stop_seen_;
        for (std::size_t i = 0; i < line.size(); ++i) {
            out[i] = upper_case[static_cast<unsigned char>(line[i])];
            clean &= out[i] != 0;
        }
        if (!clean) inspect(line, old_size);
    }

    /// A line with something other than letters: a final stop is dropped, the rest is named.
    void inspect(std::string const& line, std::size_t old_size) {
        for (std::size_t i = 0; i < line.size(); ++i) {
            std::string const place =
                " at position " + std::to_string(old_size + i + 1) + " of record " + shown(protein_.id);
            if (stop_seen_)
                return reject(where() + "'*'" + stop_place_ + " has residues behind it; only a last '*' is dropped");
            if (upper_case[static_cast<unsigned char>(line[i])] != 0) continue;
            if (line[i] == '*') {
                stop_seen_ = true;
                stop_place_ = place;
                protein_.residues.resize(old_size + i);
            } else if (line[i] == '-' || line[i] == '.') {
                return reject(where() + "'" + line[i] + "'" + place + ": looks like an alignment; use --msa-dir");
            } else {
                return reject(where() + shown(line.substr(i, 1)) + place + " is no residue letter");
            }
        }
    }

    void finish_record() {
        if (!in_record_) return;
        if (!bad_ && protein_.residues.empty())
            reject(name_ + ":" + std::to_string(header_line_) + ": record " + shown(protein_.id) + " has no residues");
        if (!bad_) visit_(std::move(protein_), header_line_);
    }

    std::string name_;
    std::function<void(Protein&&, std::uint64_t)> const& visit_;
    FastaOptions const& options_;
    std::istream& in_;
    std::unordered_map<std::string, std::uint64_t> ids_; ///< id -> header line
    Protein protein_;
    std::string stop_place_;
    std::uint64_t line_number_, header_line_ = 0, records_ = 0;
    bool in_record_ = false, bad_ = false, stop_seen_ = false;
};

} // namespace

void for_each_fasta(std::filesystem::path const& file, std::function<void(Protein&&)> const& visit,
                    FastaOptions const& options) {
    for_each_fasta(
        file, [&visit](Protein&& protein, std::uint64_t) { visit(std::move(protein)); }, options);
}

void for_each_fasta(std::filesystem::path const& file, std::function<void(Protein&&, std::uint64_t)> const& visit,
                    FastaOptions const& options) {
    auto const in = open_input(file);
    for_each_fasta(*in, file == "-" ? "<stdin>" : file.string(), 0, visit, options);
}

void for_each_fasta(std::istream& in, std::string const& name, std::uint64_t lines_before,
                    std::function<void(Protein&&, std::uint64_t)> const& visit, FastaOptions const& options) {
    FastaReader{in, name, lines_before, visit, options}.read();
}

std::vector<Protein> read_fasta(std::filesystem::path const& file, FastaOptions const& options) {
    std::vector<Protein> proteins;
    for_each_fasta(
        file, [&proteins](Protein&& protein) { proteins.push_back(std::move(protein)); }, options);
    return proteins;
}

void write_fasta(std::ostream& out, std::vector<Protein> const& proteins) {
    constexpr std::size_t width = 60;
    for (Protein const& protein : proteins) {
        out << '>' << protein.id;
        if (!protein.description.empty()) out << ' ' << protein.description;
        out << '\n';
        for (std::size_t i = 0; i < protein.residues.size(); i += width)
            out << std::string_view{protein.residues}.substr(i, width) << '\n';
    }
}

} // namespace tape
