#pragma once

#include "align/database.hpp"

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

/// E-values of one query against one database: the expected number of targets of random sequence that reach the score.
///
/// Each target's chance is K area(m, n) exp(-lambda S). `evalue` compares a target with targets of its own length, as
/// HMMER does: E = N K area(m, n) exp(-lambda S).
class EvalueModel {
  public:
    EvalueModel(AlignmentStatistics statistics, std::size_t query_length, Database const& database);

    [[nodiscard]] double evalue(double score, std::size_t target_length) const;
    /// (lambda S - ln K) / ln 2.
    [[nodiscard]] double bits(double score) const;

  private:
    AlignmentStatistics statistics_;
    double query_length_;
    double target_count_, residues_;
};

/// Score at which an ungapped match between random sequences of these lengths has probability `p`; at least 1 half bit.
double ungapped_threshold(double query_length, double target_length, double p);

} // namespace tape
