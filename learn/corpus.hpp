#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

struct CorpusOptions {
    std::vector<std::filesystem::path> exclude; ///< FASTA, .tdb, or CSV with a column `primary` or `sequence`
    bool exclude_tests = false;                 ///< keep out the test proteins of every bundled task
    int held_out_every = 200; ///< one sequence (or cluster) in this many, chosen by its hash, is for validation only
    /// Table of `tape-db cluster` (or MMseqs2): representative and member, tab-separated. Whole clusters are held out,
    /// and one member of each is read an epoch. Empty: every sequence is a cluster.
    std::filesystem::path clusters;
    /// Sequences for which it does not hold are left out; unset, all are wanted.
    std::function<bool(std::string_view)> wanted = {};
};

/// What went into a corpus: for the model card.
struct CorpusSummary {
    std::map<std::string, std::string> inputs;         ///< file -> content hash
    std::uint64_t records = 0, residues = 0;           ///< as read
    std::uint64_t distinct = 0;                        ///< after identical sequences are merged
    std::uint64_t excluded = 0;                        ///< distinct sequences equal to, or containing, an excluded one
    std::uint64_t training = 0, training_residues = 0; ///< what is trained on
    std::uint64_t held_out = 0;
    std::uint64_t unwanted = 0;             ///< distinct, not excluded, but of no use to the objective
    std::uint64_t clusters = 0;             ///< of the training sequences; 0 if none were given
    std::vector<std::string> excluded_sets; ///< "cb513 test (513 sequences)", ...
    std::string hash;                       ///< of the training sequences, in order
};

/// Distinct sequences of one or more files, in memory, split into training and held-out ones. The split depends on each
/// sequence alone (or its cluster's representative), so adding records never moves others across it.
class Corpus {
  public:
    /// @throws data_error for anything `read_fasta` refuses, for a record that the table of clusters does not have, and
    ///         when nothing is left to train on
    static Corpus read(std::span<std::filesystem::path const> files, CorpusOptions const& options);

    [[nodiscard]] std::size_t size() const noexcept { return training_.size(); }
    [[nodiscard]] std::string_view sequence(std::size_t index) const { return view(training_[index]); }
    /// Clusters of training sequences, and the indices of one's members.
    [[nodiscard]] std::size_t clusters() const noexcept { return cluster_starts_.size() - 1; }
    [[nodiscard]] std::span<std::uint32_t const> cluster(std::size_t index) const {
        return std::span{members_}.subspan(cluster_starts_[index], cluster_starts_[index + 1] - cluster_starts_[index]);
    }
    [[nodiscard]] std::size_t held_out_size() const noexcept { return held_out_.size(); }
    [[nodiscard]] std::string_view held_out(std::size_t index) const { return view(held_out_[index]); }
    [[nodiscard]] CorpusSummary const& summary() const noexcept { return summary_; }

  private:
    struct Span {
        std::uint64_t begin;
        std::uint32_t length;
    };
    [[nodiscard]] std::string_view view(Span span) const {
        return std::string_view{letters_}.substr(span.begin, span.length);
    }

    void group(std::span<std::uint32_t const> cluster_of, std::size_t clusters);

    std::string letters_;
    std::vector<Span> training_, held_out_;
    std::vector<std::uint32_t> members_, cluster_starts_;
    CorpusSummary summary_;
};

/// Finds any of a set of sequences inside others: exact matches of whole patterns. O(length) for a text without a
/// shared 12-residue start, plus one comparison for each pattern whose first residues occur.
class SequenceMatcher {
  public:
    explicit SequenceMatcher(std::vector<std::string> patterns);
    /// Whether the text equals or contains a pattern.
    [[nodiscard]] bool matches(std::string_view text) const;

  private:
    struct Start {
        std::uint64_t key;
        std::uint32_t pattern;
    };
    std::vector<std::string> patterns_;
    std::vector<Start> starts_; ///< sorted by key
    std::size_t word_ = 0;
};

} // namespace tape
