#pragma once

#include "learn/objective.hpp"

namespace tape {

/// BERT's masked language model (Devlin et al., NAACL 2019) over residues: of the chosen ones 80% become <mask>, 10%
/// another residue, 10% stay. Only the 20 amino acids are chosen: never a special token, X, B, Z, U or O. At least one
/// residue is chosen of a window that has any.
class MaskedLanguage : public Objective {
  public:
    struct Options {
        double chosen = 0.15, masked = 0.8, replaced = 0.1;
    };
    explicit MaskedLanguage(Options const& options) : options_{options} {}
    [[nodiscard]] std::string description() const override;
    void pose(Window const& window, Random& random, Exercise& example) const override;

  private:
    Options options_;
};

} // namespace tape
