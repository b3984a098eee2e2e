#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tape {

/// A row of the published comparison that the report shows beside its own.
struct PublishedRow {
    std::string arm;   ///< nearest arm of ours: "transformer", "onehot", "msa", ...; "" where we have none
    std::string label; ///< as printed: "Transformer", "one-hot", "alignment"
    std::string group; ///< "baseline" or "pretrained"
    std::optional<double> q3, contact, homology, fluorescence, stability;

    /// The value of a bundled task by name; none for a task or row without one.
    [[nodiscard]] std::optional<double> of(std::string const& task) const;
};

/// Rao et al., Evaluating Protein Transfer Learning with TAPE, NeurIPS 2019 (arXiv:1906.08230), as listed in the README
/// of the authors' repository: CB513 Q3, contact P@L/5 (medium and long range), remote homology fold top-1 accuracy,
/// fluorescence and stability Spearman's rho. The rows without pretraining stand only in the paper and are left out.
std::vector<PublishedRow> const& published_rows();

} // namespace tape
