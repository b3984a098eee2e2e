#pragma once

#include "align/forward.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace tape {

/// Gumbel parameters of gapped local alignment with finite-size correction, as estimated by ALP (Sheetlin, Park, Frith
/// & Spouge, Bioinformatics 32:304, 2016). Scores in half bits; the aligned length grows as a score + b, its variance
/// as alpha score + beta, the covariance of both lengths as sigma score + tau.
struct AlignmentStatistics {
    double lambda, k;
    double a, b, alpha, beta, sigma, tau;
};

/// BLOSUM62 with gap costs 11 + n.
inline constexpr AlignmentStatistics blosum62_gapped{.lambda = 0.27360,
                                                     .k = 0.04462,
                                                     .a = 1.5939,
                                                     .b = -19.960,
                                                     .alpha = 30.456,
                                                     .beta = -622.29,
                                                     .sigma = 29.602,
                                                     .tau = -601.81};
/// BLOSUM62 without gaps.
inline constexpr double blosum62_ungapped_lambda = 0.32074, blosum62_ungapped_k = 0.13905;

/// Expected number of starting points that can still reach `score` between sequences of these lengths (Spouge's
/// finite-size correction, the search space of NCBI BLAST since 2.2.25).
double effective_area(AlignmentStatistics const& statistics, double query_length, double target_length, double score);

/// E-values of the Forward scores of one model against one database: the expected number of targets of random sequence
/// that reach the score.
///
/// Forward scores of random sequences have an exponential tail that falls by half with every bit (Eddy, PLoS Comput
/// Biol 4:e1000069, 2008): a target's chance is K area(m, n) 2^-score, and E is that chance times the number of
/// targets, as HMMER counts. K is found by simulation, as there: a Gumbel law is fitted to the scores of 200 random
/// sequences of length 100, and its tail of mass 0.04 is extended. The area is BLOSUM62's at the gapped score of as
/// many bits.
class EvalueModel {
  public:
    EvalueModel(ForwardModel const& model, std::size_t target_count);

    [[nodiscard]] double evalue(double score, std::size_t target_length) const;
    /// score - log2 K: E = N area(m, n) 2^-bits.
    [[nodiscard]] double bits(double score) const { return score - log2_k_; }

  private:
    double query_length_, target_count_, log2_k_ = 0;
};

/// Score at which a gapped alignment of random sequences of these lengths has probability `p`; at least 1 half bit.
double gapped_threshold(double query_length, double target_length, double p);

/// Score at which an ungapped match between random sequences of these lengths has probability `p`; at least 1 half bit.
double ungapped_threshold(double query_length, double target_length, double p);

} // namespace tape
