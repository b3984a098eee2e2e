#include "learn/corpus.hpp"

#ifdef TAPE_WITH_SEARCH
#include "align/database.hpp"
#endif
#include "data/alphabet.hpp"
#include "data/cluster_table.hpp"
#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "learn/test_relatives.hpp"

#include <algorithm>
#include <functional>
#include <istream>
#include <limits>
#include <memory>
#include <numeric>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

namespace tape {
namespace {

constexpr std::size_t longest_word = 12; // 5 bits a letter in 64

constexpr std::uint64_t letter_bits(char letter) { return static_cast<std::uint64_t>(letter) & 31; }

std::vector<std::string> split_line(std::string const& line) {
    std::vector<std::string> cells;
    std::istringstream in{line};
    for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
    return cells;
}

/// The sequence column of a CSV file.
std::vector<std::string> read_csv_sequences(std::filesystem::path const& file) {
    std::unique_ptr<std::istream> const in = open_input(file);
    std::string line;
    std::getline(*in, line);
    auto const header = split_line(line);
    auto const column =
        std::ranges::find_if(header, [](auto const& name) { return name == "primary" || name == "sequence"; });
    if (column == header.end()) throw data_error{file.string() + ":1: no column 'primary' or 'sequence'"};
    auto const index = static_cast<std::size_t>(column - header.begin());
    std::vector<std::string> sequences;
    for (std::size_t number = 2; std::getline(*in, line); ++number) {
        auto const cells = split_line(line);
        if (cells.size() <= index || cells[index].empty())
            throw data_error{file.string() + ":" + std::to_string(number) + ": no sequence in column '" + *column +
                             "'"};
        sequences.push_back(cells[index]);
    }
    return sequences;
}

/// Called with the id (empty for CSV) and the residues of a record.
using Visitor = std::function<void(std::string const& id, std::string const& residues)>;

#ifdef TAPE_WITH_SEARCH
void for_each_of_database(std::filesystem::path const& file, Visitor const& visit) {
    Database const database{file};
    for (std::size_t i = 0; i < database.size(); ++i) {
        auto const codes = database.residues(i);
        visit(std::string{database.id(i)}, decode_residues({codes.begin(), codes.end()}));
    }
}
#else
void for_each_of_database(std::filesystem::path const& file, Visitor const&) {
    throw usage_error{file.string() + ": this build has no database search and cannot read .tdb files; give FASTA"};
}
#endif

void for_each_sequence(std::filesystem::path const& file, Visitor const& visit) {
    if (file.extension() == ".tdb") {
        for_each_of_database(file, visit);
    } else if (file.filename().string().find(".csv") != std::string::npos) {
        for (auto const& sequence : read_csv_sequences(file)) visit({}, sequence);
    } else {
        // Ids play no part in training, and public files do repeat them.
        for_each_fasta(file, [&](Protein&& protein) { visit(protein.id, protein.residues); },
                       {.allow_duplicate_ids = true});
    }
}

struct Exclusions {
    std::vector<std::string> sequences, labels;
};

Exclusions read_exclusions(CorpusOptions const& options) {
    Exclusions all;
    auto const label = [&](std::string const& name, std::size_t before) {
        all.labels.push_back(name + " (" + std::to_string(all.sequences.size() - before) + " sequences)");
    };
    for (auto const& file : options.exclude) {
        auto const before = all.sequences.size();
        bool const found_none =
            file.filename().string().starts_with(test_relatives_name) && std::filesystem::is_empty(file);
        if (!found_none)
            for_each_sequence(file,
                              [&](auto const&, std::string const& sequence) { all.sequences.push_back(sequence); });
        label(file.filename().string(), before);
    }
    if (options.exclude_tests)
        for (auto const& task : bundled_tasks()) {
            auto const before = all.sequences.size();
            for (auto const& example : load_split(task, task.test).examples)
                all.sequences.push_back(example.protein.residues);
            label(task.name + "/" + task.test, before);
        }
    return all;
}

/// Member -> representative.
class ClusterTable {
  public:
    explicit ClusterTable(std::filesystem::path file) : file_{std::move(file)} {
        if (file_.empty()) return;
        read_cluster_table(file_, [&](std::size_t, std::string_view representative, std::string_view member) {
            representatives_[std::string{member}] = representative;
        });
    }
    [[nodiscard]] bool given() const { return !file_.empty(); }
    [[nodiscard]] std::string const& representative(std::string const& id, std::filesystem::path const& corpus) const {
        auto const found = representatives_.find(id);
        if (found == representatives_.end())
            throw data_error{corpus.string() + ": record '" + id + "' is in no cluster of " + file_.string()};
        return found->second;
    }

  private:
    std::filesystem::path file_;
    std::unordered_map<std::string, std::string> representatives_;
};

/// Chosen for validation by the hash of the sequence, or of its cluster's representative.
bool is_held_out(std::string const& hash, int every) {
    return std::stoull(hash.substr(0, 15), nullptr, 16) % static_cast<std::uint64_t>(every) == 0;
}

} // namespace

SequenceMatcher::SequenceMatcher(std::vector<std::string> patterns) : patterns_{std::move(patterns)} {
    std::ranges::sort(patterns_);
    auto const repeated = std::ranges::unique(patterns_);
    patterns_.erase(repeated.begin(), repeated.end());
    std::erase(patterns_, std::string{});
    word_ = longest_word;
    for (auto const& pattern : patterns_) word_ = std::min(word_, pattern.size());
    for (std::uint32_t i = 0; i < patterns_.size(); ++i) {
        std::uint64_t key = 0;
        for (std::size_t j = 0; j < word_; ++j) key = key << 5 | letter_bits(patterns_[i][j]);
        starts_.push_back({key, i});
    }
    std::ranges::stable_sort(starts_, {}, &Start::key);
}

bool SequenceMatcher::matches(std::string_view text) const {
    if (starts_.empty()) return false;
    std::uint64_t const mask = (std::uint64_t{1} << (5 * word_)) - 1;
    std::uint64_t key = 0;
    for (std::size_t end = 1; end <= text.size(); ++end) {
        key = (key << 5 | letter_bits(text[end - 1])) & mask;
        if (end < word_) continue;
        std::string_view const rest = text.substr(end - word_);
        for (auto start = std::ranges::lower_bound(starts_, key, {}, &Start::key);
             start != starts_.end() && start->key == key; ++start)
            if (rest.starts_with(patterns_[start->pattern])) return true;
    }
    return false;
}

Corpus Corpus::read(std::span<std::filesystem::path const> files, CorpusOptions const& options) {
    Corpus corpus;
    auto& summary = corpus.summary_;
    auto exclusions = read_exclusions(options);
    summary.excluded_sets = std::move(exclusions.labels);
    SequenceMatcher const excluded{std::move(exclusions.sequences)};
    ClusterTable const table{options.clusters};
    std::unordered_map<std::string, std::uint32_t> clusters; // by representative
    std::vector<std::uint32_t> cluster_of;                   // every training sequence's
    std::unordered_set<std::string> seen;
    std::string hashes;
    for (auto const& file : files) {
        summary.inputs[file.string()] = content_hash_of_file(file);
        for_each_sequence(file, [&](std::string const& id, std::string const& sequence) {
            ++summary.records, summary.residues += sequence.size();
            if (sequence.size() > std::numeric_limits<std::uint32_t>::max())
                throw data_error{file.string() + ": record " + std::to_string(summary.records) +
                                 " is longer than 4 billion residues"};
            std::string hash = content_hash(sequence);
            if (!seen.insert(hash).second) return;
            ++summary.distinct;
            if (excluded.matches(sequence)) {
                ++summary.excluded;
                return;
            }
            if (options.wanted && !options.wanted(sequence)) {
                ++summary.unwanted;
                return;
            }
            std::string const cluster = table.given() ? content_hash(table.representative(id, file)) : hash;
            bool const hold = is_held_out(cluster, options.held_out_every);
            (hold ? corpus.held_out_ : corpus.training_)
                .push_back({corpus.letters_.size(), static_cast<std::uint32_t>(sequence.size())});
            corpus.letters_ += sequence;
            if (hold) return;
            cluster_of.push_back(
                clusters.try_emplace(cluster, static_cast<std::uint32_t>(clusters.size())).first->second);
            summary.training_residues += sequence.size();
            hashes += table.given() ? cluster + hash : hash;
        });
    }
    summary.training = corpus.training_.size(), summary.held_out = corpus.held_out_.size();
    summary.hash = content_hash(hashes);
    if (corpus.training_.empty())
        throw data_error{"the corpus has no sequence left to train on: " + std::to_string(summary.records) + " read, " +
                         std::to_string(summary.excluded) + " excluded, " + std::to_string(summary.unwanted) +
                         " without a profile, " + std::to_string(summary.held_out) + " held out"};
    if (table.given()) summary.clusters = clusters.size();
    corpus.group(cluster_of, clusters.size());
    return corpus;
}

void Corpus::group(std::span<std::uint32_t const> cluster_of, std::size_t clusters) {
    cluster_starts_.assign(clusters + 1, 0);
    for (auto const cluster : cluster_of) ++cluster_starts_[cluster + 1];
    std::partial_sum(cluster_starts_.begin(), cluster_starts_.end(), cluster_starts_.begin());
    members_.resize(cluster_of.size());
    auto next = cluster_starts_;
    for (std::uint32_t i = 0; i < cluster_of.size(); ++i) members_[next[cluster_of[i]]++] = i;
}

} // namespace tape
