#pragma once

#include "features/feature_source.hpp"

namespace tape {

/// The sequence itself: 20 amino acids in code order and one channel for any other letter.
///
/// rows: L x 21, one 1 a row. pooled: their mean over residues, the amino-acid composition. No pair features.
class OneHotSource final : public FeatureSource {
  public:
    static constexpr int width = 21;

    [[nodiscard]] std::string name() const override { return "onehot"; }
    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int residue_width() const override { return width; }
    [[nodiscard]] int pooled_width() const override { return width; }
    [[nodiscard]] int pair_width() const override { return 0; }
    [[nodiscard]] std::string content_hash() const override;
    /// @throws data_error naming the protein for a letter that is no residue
    [[nodiscard]] std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                       FeatureRequest request) override;
};

/// Channel of a residue code in one-hot rows: its own for an amino acid, the last one otherwise.
int onehot_channel(unsigned residue) noexcept;

} // namespace tape
