#pragma once

#include "align/position_scores.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace tape {

/// A gap of n residues costs open + n * extend: BLAST's and ALP's convention, 12 for the first residue of 11/1. Half
/// bits.
struct GapCosts {
    int open = 11, extend = 1;
};

/// A local alignment. Positions are half-open, from 0.
struct Alignment {
    int score = 0; ///< in units of the query's IntegerScores (half bits times scale)
    int query_begin = 0, query_end = 0, target_begin = 0, target_end = 0;
    std::string operations; ///< from begin to end: M aligned pair, D query residue without target residue, I target
                            ///< residue without query residue
};

/// Smith-Waterman with affine gaps on position-specific scores, striped over the query (Farrar, Bioinformatics 23:156,
/// 2007) in 8, 16 or 32 bits, whichever first holds the score exactly. Holds the striped query; one object serves any
/// number of threads, each with its own Workspace. Gap costs are multiplied by the scores' scale.
class GappedAligner {
  public:
    /// Column buffers of one thread, reused from target to target.
    class Workspace {
      public:
        Workspace();
        ~Workspace();
        Workspace(Workspace&&) noexcept;
        Workspace& operator=(Workspace&&) noexcept;
        struct Buffers;
        std::unique_ptr<Buffers> buffers;
    };

    explicit GappedAligner(IntegerScores scores, GapCosts gaps = {});
    ~GappedAligner();
    GappedAligner(GappedAligner&&) noexcept;
    GappedAligner& operator=(GappedAligner&&) noexcept;

    /// Best local score, >= 0. O(L n / lanes) time, O(L) memory.
    [[nodiscard]] int score(std::span<Residue const> target, Workspace& workspace) const;

    /// The best local alignment; of several, the one that ends first in the target, then in the query; substitutions
    /// are preferred to gaps and short gaps to long ones. O(L n / lanes + alignment) time; scores of whole columns are
    /// kept for at most 64 MiB of them at once, the rest being computed again from saved columns.
    [[nodiscard]] Alignment align(std::span<Residue const> target, Workspace& workspace) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Plain three-matrix dynamic programming in 32 bits; the oracle of the class above.
int gapped_score_reference(IntegerScores const& query, std::span<Residue const> target, GapCosts gaps = {});

/// Score of an alignment added up along its operations: what `align` promises, recomputed.
int score_of(Alignment const& alignment, IntegerScores const& query, std::span<Residue const> target,
             GapCosts gaps = {});

} // namespace tape
