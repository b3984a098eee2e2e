#include "learn/profile_prediction.hpp"

#include "align/msa.hpp"
#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/npy.hpp"
#include "data/zip.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace tape {
namespace {

constexpr float units = 65535;
constexpr std::string_view ending = ".features.npz";

/// The arrays of a features file that matter here; the alignment itself, by far the largest, is left unread.
class FeaturesFile {
  public:
    explicit FeaturesFile(std::filesystem::path file) : file_{std::move(file)}, archive_{file_} {}

    [[nodiscard]] Array take(std::string const& name, std::vector<std::size_t> const& shape) const {
        auto const member = std::ranges::find(archive_.members(), name + ".npy", &ZipReader::Member::name);
        if (member == archive_.members().end()) fail("no array '" + name + "'");
        Array array = parse_npy(archive_.read(*member), file_.string() + ", array '" + name + "'");
        bool fits = array.shape.size() == shape.size();
        for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == any || shape[i] == array.shape[i];
        if (!fits) fail("array '" + name + "' has another shape than the query");
        return array;
    }
    [[noreturn]] void fail(std::string const& what) const {
        throw data_error{file_.string() + ": " + what + "; expected a features file of tape-msa"};
    }
    static constexpr std::size_t any = static_cast<std::size_t>(-1);

  private:
    std::filesystem::path file_;
    ZipReader archive_;
};

/// As alignments have it: U, B, Z, ... are unknown.
std::string aligned_letters(std::string_view protein) { return decode_residues(encode_residues(protein)); }

/// Columns in which two rows have the same amino acid.
std::size_t shared_residues(MsaRow const& a, MsaRow const& b) {
    std::size_t shared = 0;
    for (std::size_t c = 0; c < a.columns.size(); ++c)
        shared += a.columns[c] == b.columns[c] && a.columns[c] < amino_acid_count;
    return shared;
}

} // namespace

ProfileTargets::ProfileTargets(std::filesystem::path const& folder) {
    std::vector<std::filesystem::path> files;
    if (!std::filesystem::is_directory(folder))
        throw data_error{folder.string() + ": no such folder; give one that tape-msa wrote"};
    for (auto const& entry : std::filesystem::directory_iterator{folder})
        if (entry.path().filename().string().ends_with(ending)) files.push_back(entry.path());
    if (files.empty())
        throw data_error{folder.string() + ": no *" + std::string{ending} +
                         "; write them with tape-msa CORPUS --db DATABASE -o " + folder.string()};
    std::ranges::sort(files);
    std::vector<std::pair<std::filesystem::path, std::size_t>> alignments; // file, first column
    for (auto const& file : files) {
        auto const first = add(file);
        std::string const name = file.filename().string();
        auto const alignment = folder / (name.substr(0, name.size() - ending.size()) + ".a3m");
        if (first && std::filesystem::exists(alignment)) alignments.emplace_back(alignment, *first);
    }
    if (places_.empty())
        throw data_error{folder.string() + ": none of the " + std::to_string(files.size()) +
                         " alignments has a row beside its query: no profile to learn from"};
    add_homologs(alignments);
    hash_ = content_hash({reinterpret_cast<char const*>(columns_.data()), columns_.size() * sizeof columns_.front()});
    if (homologs_.size() > 0) hash_ = content_hash(hash_ + homologs_.hash());
}

void ProfileTargets::add_homologs(std::vector<std::pair<std::filesystem::path, std::size_t>> const& alignments) {
    struct Closest {
        std::size_t alignment, shared;
    };
    // Alignments are read twice, so that only one is in memory at a time.
    std::unordered_map<std::string, Closest> closest; // by id
    for (std::size_t i = 0; i < alignments.size(); ++i) {
        auto const& [file, first] = alignments[i];
        Msa const msa = read_msa(file);
        auto const query = places_.find(content_hash(decode_residues(msa.rows.front().columns)));
        if (query == places_.end() || query->second != first)
            throw data_error{file.string() +
                             ": its query is not that of the features file beside it; run tape-msa again"};
        for (auto const& row : std::span{msa.rows}.subspan(1)) {
            std::size_t const shared = shared_residues(msa.rows.front(), row);
            auto& best = closest.try_emplace(row.id, Closest{i, 0}).first->second;
            if (shared > best.shared) best = {i, shared};
        }
    }
    std::vector<std::uint32_t> columns;
    for (std::size_t i = 0; i < alignments.size(); ++i) {
        auto const& [file, first] = alignments[i];
        Msa const msa = read_msa(file);
        for (auto const& row : std::span{msa.rows}.subspan(1)) {
            auto const best = closest.find(row.id);
            if (best == closest.end() || best->second.alignment != i) continue;
            closest.erase(best); // one row of each protein: the first, its best
            std::string residues;
            columns.clear();
            std::size_t column = first;
            for (char const letter : a3m_letters(row)) {
                bool const inserted = letter >= 'a' && letter <= 'z';
                if (letter != '-') {
                    residues += inserted ? static_cast<char>(letter - 'a' + 'A') : letter;
                    columns.push_back(inserted ? AlignedSegments::no_column : static_cast<std::uint32_t>(column));
                }
                column += !inserted;
            }
            homologs_.add(aligned_letters(residues), columns);
        }
    }
}

std::optional<std::size_t> ProfileTargets::add(std::filesystem::path const& path) {
    FeaturesFile const file{path};
    Array const residues = file.take("residues", {FeaturesFile::any});
    if (residues.type != Array::Type::uint8) file.fail("array 'residues' is not of bytes");
    std::size_t const length = residues.size();
    auto const frequencies = to_doubles(file.take("frequencies", {length, amino_acid_count}));
    auto const gaps = to_doubles(file.take("gap_fraction", {length}));
    auto const weights = to_doubles(file.take("weights", {FeaturesFile::any}));
    auto const codes = residues.as<std::uint8_t>();
    for (auto const code : codes)
        if (code > unknown_code) file.fail("array 'residues' holds " + std::to_string(code));
    double total = 0;
    for (double const weight : weights) total += weight;
    if (weights.empty() || !(total > 0)) file.fail("array 'weights' has no weight");

    std::string const key = content_hash(decode_residues({codes.begin(), codes.end()}));
    std::size_t const first = columns_.size();
    bool any_known = false;
    if (places_.contains(key)) return {};
    for (std::size_t column = 0; column < length; ++column) {
        double const alone = codes[column] < amino_acid_count ? weights.front() / total : 0;
        bool const known = 1 - gaps[column] > alone + 1e-6; // float32's rounding of a share
        auto& values = columns_.emplace_back();
        double sum = 0;
        for (std::size_t a = 0; a < values.size(); ++a) {
            double const frequency = frequencies[column * values.size() + a];
            if (!(frequency >= 0)) file.fail("array 'frequencies' is negative or not a number");
            sum += frequency;
            if (known) values[a] = static_cast<std::uint16_t>(std::lround(frequency * units));
        }
        if (std::abs(sum - 1) > 1e-3)
            file.fail("frequencies of column " + std::to_string(column + 1) + " do not sum to 1");
        any_known |= known, known_columns_ += known;
    }
    if (!any_known) {
        columns_.resize(first);
        return {};
    }
    places_.emplace(key, first);
    return first;
}

bool ProfileTargets::has(std::string_view protein) const {
    std::string const letters = aligned_letters(protein);
    return places_.contains(content_hash(letters)) || homologs_.find(letters);
}

std::vector<ProfileTargets::Column> ProfileTargets::columns(std::string_view protein, std::size_t begin,
                                                            std::size_t count) const {
    std::string const letters = aligned_letters(protein);
    auto const place = places_.find(content_hash(letters));
    auto const homolog = place == places_.end() ? homologs_.find(letters) : std::nullopt;
    if (place == places_.end() && !homolog) return {};
    std::vector<Column> result(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t column = begin + i; // of the query; else of the homolog's row
        if (!homolog)
            column += place->second;
        else if (column < homolog->begin || column - homolog->begin >= homolog->columns.size() ||
                 homolog->columns[column - homolog->begin] == AlignedSegments::no_column)
            continue;
        else
            column = homolog->columns[column - homolog->begin];
        auto const& values = columns_[column];
        float sum = 0;
        for (auto const value : values) sum += static_cast<float>(value);
        result[i].known = sum > 0;
        for (std::size_t a = 0; a < values.size() && sum > 0; ++a)
            result[i].frequencies[a] = static_cast<float>(values[a]) / sum;
    }
    return result;
}

std::string ProfilePrediction::description() const {
    return "profile prediction: at every residue, from the sequence alone, the residue frequencies (with pseudocounts) "
           "of its column in an alignment of homologs; " +
           std::to_string(targets_->size()) + " alignments, " + std::to_string(targets_->known_columns()) +
           " columns with a homolog" +
           (targets_->homologs() > 0
                ? ", which are also the targets of " + std::to_string(targets_->homologs()) + " homologs"
                : "");
}

void ProfilePrediction::pose(Window const& window, Random&, Exercise& example) const {
    auto const columns = targets_->columns(window.protein, window.begin, window.residues());
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (!columns[i].known) continue;
        example.column_places.push_back(static_cast<std::int64_t>(window.first() + i));
        example.frequencies.insert(example.frequencies.end(), columns[i].frequencies.begin(),
                                   columns[i].frequencies.end());
    }
}

} // namespace tape
