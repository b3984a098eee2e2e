#pragma once

#include "data/record.hpp"

#include <Eigen/Core>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// Row-major single-precision matrix: residues x features, or proteins x features.
using FeatureMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Which of a protein's features are wanted; a source computes only these.
struct FeatureRequest {
    bool rows = false;   ///< per residue
    bool pooled = false; ///< per protein
    bool pairs = false;  ///< per residue pair

    bool operator==(FeatureRequest const&) const = default;
};

/// What a source says of one protein.
struct ProteinFeatures {
    FeatureMatrix rows;        ///< L x residue_width, or empty
    std::vector<float> pooled; ///< pooled_width, or empty
    std::vector<float> pairs;  ///< L x L x pair_width (i, j, channel), symmetric, or empty
    float depth = 0;           ///< Neff (80% identity) of the alignment used; 0 if the source uses none
    std::string
        provenance; ///< "search of starter.tdb", "bundled GFP_AEQVI", "no homologs: sequence only"; may be empty
};

/// A way of reading a protein: an alignment, a language model, the sequence itself. A new one is one class derived from
/// this and one row in compare/arms.cpp.
class FeatureSource {
  public:
    virtual ~FeatureSource() = default;
    [[nodiscard]] virtual std::string name() const = 0;        ///< as in --features
    [[nodiscard]] virtual std::string description() const = 0; ///< one line for the report
    [[nodiscard]] virtual int residue_width() const = 0;
    [[nodiscard]] virtual int pooled_width() const = 0;
    [[nodiscard]] virtual int pair_width() const = 0; ///< 0 if it has no pair features
    /// Hash of everything that decides the values: weights, database, parameters, algorithm version.
    [[nodiscard]] virtual std::string content_hash() const = 0;
    /// Everything of the protein that decides its values, as 32 hexadecimal digits: by default the hash of its
    /// residues. A source that reads more (a ready alignment found by id) hashes that in, so that proteins of one key
    /// have one value.
    [[nodiscard]] virtual std::string key(Protein const& protein) const;
    /// Told once of a whole data set (all splits) before `key` and `compute`, so that a source can find groups of
    /// variants and share work among them. What it derives must enter `key`. Does nothing by default.
    virtual void prepare(std::span<Protein const> dataset);
    /// One entry a protein, in order. A protein's values never depend on the others in the call.
    [[nodiscard]] virtual std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                               FeatureRequest request) = 0;
};

} // namespace tape
