#pragma once

#include "align/msa.hpp"
#include "features/feature_source.hpp"
#include "features/msa_channels.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// Where alignments come from and how the search is run.
///
/// For each protein the first of these that has one gives the alignment:
///  1. a ready alignment `directory`/<id>.a3m, .a2m, .sto, .fasta or .aln (also .gz, .xz, .zst);
///  2. a bundled family's alignment whose query covers the protein at one offset with at least 80% identity: all
///  variants of a protein
///     share its family's alignment and profile;
///  3. a search of `database` with the nearest of the `parents` of the same length (see `choose_parents`), or with
///  itself;
///  4. the sequence alone.
/// Which one it was stands in the provenance.
struct MsaSourceOptions {
    std::filesystem::path directory;             ///< empty = none
    std::vector<std::filesystem::path> families; ///< see `bundled_alignments`
    std::filesystem::path database;              ///< .tdb; empty = no search
    std::filesystem::path clusters;              ///< of the database (`ScanClusters`); empty = scan every target
    int rounds = 3;
    double evalue = 1e-3, inclusion_evalue = 2e-3;
    double min_coverage = 0;
    std::size_t max_hits = 10000;
    std::vector<std::string> parents; ///< residues of proteins whose variants are searched through them
    int threads = 0;                  ///< 0 = all; never changes a value
    bool quiet = true;
};

/// The alignments that come with the product: data_directory()/msa, sorted by name; none if the folder is missing.
std::vector<std::filesystem::path> bundled_alignments();

/// An id as a file name: '/' and control characters become '_', and what is longer than 200 bytes is cut and gets its
/// hash.
std::string file_name_of_id(std::string const& id);

/// Representatives of groups of variants: going through the proteins in order, one that has the length of an earlier
/// representative and differs from it in at most max(4, 10% of L) places joins its group, another one becomes a
/// representative; returned are those with at least `minimum_group` members. Deterministic in the order given.
/// Candidates are looked up by the parts of the sequence that at most that many differences must leave one of: about
/// O(N L) time and memory for proteins that are not all alike.
std::vector<std::string> choose_parents(std::span<Protein const> proteins, std::size_t minimum_group = 5);

/// The evolutionary record as a feature source: profile rows, pooled values with variant terms, coevolution maps.
class MsaSource final : public FeatureSource {
  public:
    /// @throws usage_error if a search is asked for in a build without it; data_error for a damaged database or family
    ///         alignment, or a missing directory
    explicit MsaSource(MsaSourceOptions options);
    ~MsaSource() override;

    [[nodiscard]] std::string name() const override { return "msa"; }
    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int residue_width() const override;
    [[nodiscard]] int pooled_width() const override;
    [[nodiscard]] int pair_width() const override;
    [[nodiscard]] std::string content_hash() const override;
    /// Residues, the alignment file's content if there is one, and the parent if one is used.
    [[nodiscard]] std::string key(Protein const& protein) const override;
    /// Derives the parents from a data set (`choose_parents`) and adds them to those of the options. Call it before
    /// `key` or `compute`; the parent is part of the key, so cached values stay true.
    void prepare(std::span<Protein const> dataset) override;
    /// @throws data_error if a ready alignment's query does not fit its protein
    [[nodiscard]] std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                       FeatureRequest request) override;

    /// The alignment a protein's features are read from, cut to its columns; row 0 is the alignment's query.
    [[nodiscard]] Msa alignment(Protein const& protein);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
