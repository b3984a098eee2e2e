#pragma once

#include "align/msa.hpp"

#include <cstddef>
#include <span>
#include <vector>

// A Potts model of an alignment: fields of single columns and couplings of pairs, fitted by pseudolikelihood.
namespace tape {

struct PottsOptions {
    /// Penalty of the fields: times the squared distance to the logarithm of the column's frequencies. With the
    /// couplings' penalty as in CCMpred (Seemayer, Gruber & Soding, Bioinformatics 30:3128, 2014) and CCMgen (Vorberg,
    /// Seemayer & Soding, PLoS Comput Biol 14:e1006526, 2018).
    double field_penalty = 10;
    double coupling_penalty = 0.2; ///< times (L - 1), times the square of every coupling, each pair counted once
    /// A position is done when its gradient proves that its couplings are within this share of their norm of the
    /// optimum (the penalty makes the objective strongly convex). The proof is pessimistic: on two alignments (1,024 x
    /// 145 and 5,396 x 77) the ranks of pairs at 0.1 correlate with those at a tenth or less of it by .9997 or more.
    double tolerance = 0.1;
    int iterations = 500;                      ///< most of them a position
    std::size_t memory = std::size_t{4} << 30; ///< bytes that the model and its fit may take
    int threads = 1;
};

/// exp(sum_i h_i(x_i) + sum_{i<j} J_ij(x_i, x_j)) up to a factor, over 20 amino acids and "none" (gap or unknown, state
/// 20). Zero-sum gauge: fields sum to 0, couplings over either state too.
class PottsModel {
  public:
    explicit PottsModel(std::size_t length);

    [[nodiscard]] std::size_t length() const { return length_; }
    [[nodiscard]] float field(std::size_t i, int a) const { return fields_[i * 21 + static_cast<std::size_t>(a)]; }
    /// J_ij(a, b), i != j.
    [[nodiscard]] float coupling(std::size_t i, int a, std::size_t j, int b) const;

    /// Logarithm of the unnormalised probability of a sequence of L codes; differences are log-odds in nats. O(L^2).
    [[nodiscard]] double log_weight(std::span<Residue const> sequence) const;

    /// Change of `log_weight` if the residue at column i became `to`. O(L).
    [[nodiscard]] double exchange(std::span<Residue const> sequence, std::size_t i, Residue to) const;

    std::span<float> fields() { return fields_; }
    /// The 21 x 21 block of a pair i < j, entry (a, b).
    std::span<float> block(std::size_t i, std::size_t j);
    [[nodiscard]] std::span<float const> block(std::size_t i, std::size_t j) const;

    /// Most iterations that a position took, and positions that stopped at the limit short of the tolerance.
    int iterations = 0;
    std::size_t unfinished = 0;

  private:
    [[nodiscard]] std::size_t block_begin(std::size_t i, std::size_t j) const;
    std::size_t length_;
    std::vector<float> fields_, couplings_; ///< L x 21; L (L - 1) / 2 blocks
};

/// Fits by asymmetric pseudolikelihood (Ekeberg, Hartonen & Aurell, J Comput Phys 276:341, 2014): one regularised
/// softmax regression a column on all others, each with half the couplings' penalty; the two estimates of a pair are
/// averaged in the zero-sum gauge. Each regression by preconditioned nonlinear conjugate gradients with a Newton line
/// search, which needs one pass over the alignment for the fields of the search direction and one for the gradient.
///
/// @param weights  N, of the rows: identity_weights(msa) as published
/// @throws data_error if the model would not fit into `options.memory`, error if the weights are not N positive numbers
/// O(N L^2) vector operations an iteration; memory 900 L^2 bytes for the model, and 10 kB (L + N / 30) a thread. The
/// same bytes for any number of threads.
PottsModel fit_potts(Msa const& msa, std::span<float const> weights, PottsOptions const& options = {});

/// Frobenius norm of each pair's couplings over the 20 x 20 amino acids, zero-sum gauge over 21 states. L x L,
/// symmetric, zero diagonal; not APC-corrected. O(L^2).
std::vector<float> coupling_norms(PottsModel const& model);

} // namespace tape
