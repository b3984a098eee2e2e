#pragma once

#include "learn/objective.hpp"

namespace tape {

/// Each amino acid from what stands before it (Radford et al., 2018; for proteins Alley et al., Nat Methods 16:1315,
/// 2019). The first residue of a window that begins inside a protein is not asked for.
class NextToken : public Objective {
  public:
    [[nodiscard]] std::string description() const override;
    [[nodiscard]] bool causal() const override { return true; }
    void pose(Window const& window, Random& random, Exercise& example) const override;
};

/// Every residue from those before it, and again from those behind it, by networks that do not know of each other, as
/// TAPE's LSTM (Rao et al., NeurIPS 2019). Its places are those of the answers.
class BothWays : public Objective {
  public:
    [[nodiscard]] std::string description() const override;
    void pose(Window const& window, Random& random, Exercise& example) const override;
};

} // namespace tape
