#pragma once

#include "align/profile_hmm.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace tape {

/// Local multihit scores of one sequence under a profile HMM configured as HMMER does: entry at M_k in proportion to
/// its occupancy times the number of ways to go on, exit anywhere, insertions scored as background, target length model
/// 3 / (L + 3). In bits over the null model. Plain reference implementations, O(M L). MSV and Viterbi are scored as
/// HMMER's filters do, which decide with the statistics: the residues around the alignment cost 3 nats in all, however
/// many they are, and MSV counts in thirds of a bit.
class HmmScorer {
  public:
    explicit HmmScorer(ProfileHmm const& hmm);

    /// Ungapped diagonals, several of them, entry uniform at 2 / (M (M + 1)).
    [[nodiscard]] double msv(std::span<Residue const> sequence) const;
    [[nodiscard]] double viterbi(std::span<Residue const> sequence) const;
    /// Odds stay in double range for sequences of a few thousand residues without strong repeats; meant for the short
    /// random sequences of the calibration.
    [[nodiscard]] double forward(std::span<Residue const> sequence) const;

  private:
    std::size_t length_;
    std::vector<double> odds_;              ///< residue codes x M, match emission over background
    std::vector<double> log_odds_;          ///< their logarithms
    std::vector<double> third_bits_;        ///< these rounded to thirds of a bit
    std::vector<double> entry_, log_entry_; ///< M
    std::vector<double> probability_, log_; ///< 7 x (M + 1) transitions, one run a kind
};

/// Independent residues of these frequencies, the same on every standard library.
std::vector<Residue> random_residues(std::array<double, amino_acid_count> const& frequencies, std::size_t length,
                                     std::mt19937_64& random);

/// Location of a Gumbel law of known lambda: maximum likelihood, -log(mean exp(-lambda x)) / lambda.
double gumbel_location(std::span<double const> scores, double lambda);

struct GumbelFit {
    double mu, lambda;
    /// Score that is exceeded with probability p.
    [[nodiscard]] double upper_quantile(double p) const { return mu - std::log(-std::log(1 - p)) / lambda; }
};
/// Maximum-likelihood fit of both parameters (Lawless, Statistical Models and Methods for Lifetime Data, 1982, eq.
/// 4.1.6), by bisection. @throws tape::error if all scores are equal.
GumbelFit fit_gumbel(std::span<double const> scores);

/// E-value statistics by simulation, after HMMER 3 (Eddy 2008): lambda = ln 2 + 1.44 / (M H) with H the mean relative
/// entropy; mu from the MSV and Viterbi scores of 200 random sequences of length 200; tau from the Forward scores of
/// 200 of length 100, a Gumbel law fitted and its tail of mass 0.04 extended with lambda. The same for any number of
/// threads. About 60,000 M steps of dynamic programming.
HmmStatistics calibrate(ProfileHmm const& hmm, std::uint64_t seed = 42, int threads = 1);

} // namespace tape
