#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"

#include <Eigen/Core>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// Transitions that leave node k (states M_k, I_k, D_k), in the order of HMMER's and HH-suite's files.
enum Transition { match_match, match_insert, match_delete, insert_match, insert_insert, delete_match, delete_delete };
inline constexpr int transition_count = 7;

/// (L + 1) x 7 transition probabilities; row 0 leaves the begin state, row L leads to the end.
using TransitionMatrix = Eigen::Matrix<float, Eigen::Dynamic, transition_count, Eigen::RowMajor>;

/// Null distributions of scores in bits: MSV and Viterbi scores follow a Gumbel law with location mu, Forward scores an
/// exponential tail that begins at tau, all with the same lambda (Eddy, PLoS Comput Biol 4:e1000069, 2008).
struct HmmStatistics {
    double msv_mu = 0, viterbi_mu = 0, forward_tau = 0, lambda = 0;
};

/// Profile hidden Markov model of Plan 7 topology: one node a query residue, no transitions between I and D.
struct ProfileHmm {
    std::string name, description;
    std::string residues;           ///< L letters of the query; consensus letters if a file has no query
    std::size_t sequences = 1;      ///< rows of the alignment
    double effective_sequences = 1; ///< total weight of the rows behind the probabilities
    ColumnMatrix match;             ///< L x 20 emissions, residue-code order
    ColumnMatrix insert;            ///< (L + 1) x 20
    TransitionMatrix transitions;   ///< (L + 1) x 7
    std::vector<float> neff_match;  ///< L, as Profile::neff_column; empty where a file does not say
    std::vector<float> neff_insert; ///< L + 1: Neff of the column times the share of rows with an insertion after it
    std::vector<float> neff_delete; ///< L: the same for rows with a gap; both 0 where there are none
    std::optional<HmmStatistics> statistics;

    [[nodiscard]] std::size_t length() const { return residues.size(); }
};

/// Residue frequencies of Swiss-Prot 50.8, HMMER's null model, in code order.
extern std::array<double, amino_acid_count> const hmmer_background;
/// Insert emissions that HMMER gives every node: residue frequencies in insertions of Pfam.
extern std::array<double, amino_acid_count> const hmmer_insertions;

struct HmmOptions {
    /// On: probabilities as HMMER estimates them; off: weighted frequencies, for programs that add their own
    /// pseudocounts (HH-suite).
    bool priors = true;
    /// Rows with no more residues than this share of the alignment's columns (those of insertions included, as in
    /// HMMER 3.3) are fragments: their terminal gaps are missing data, not deletions. 1 treats all rows so.
    double fragment_threshold = 0.5;
};

/// Weights of HMMER's hmmbuild: position-based (Henikoff & Henikoff, J Mol Biol 243:574, 1994) and, unlike
/// `henikoff_weights`, each row's sum divided by its number of residues, so that a fragment weighs as much as a whole
/// row. N weights summing to N. O(N L).
std::vector<double> hmm_weights(Msa const& msa);

/// Estimates a profile HMM from a query-anchored alignment, every query residue a match state.
///
/// With priors, after HMMER 3 (hmmbuild --hand): `hmm_weights`; counts scaled to the effective number of sequences at
/// which the mean relative entropy of the match emissions is max(0.59, (45 - log2(2 / (L (L + 1)))) / L) bits;
/// Dirichlet mixture for match emissions, Dirichlet priors for transitions (match .7939/.0278/.0135, insert
/// .1551/.1331, delete .9002/.5630), fixed insert emissions. A residue inserted beside a deletion counts as aligned to
/// the deleted column, since Plan 7 has no way from I to D.
///
/// @param msa  N rows over L columns, L > 0
/// @throws data_error for rows of unequal length or an alignment without columns
/// O(N L + L) time; identical for any number of threads.
ProfileHmm estimate_hmm(Msa const& msa, HmmOptions const& options = {});

/// Mean relative entropy of the match emissions to `hmmer_background`, bits a node.
double mean_relative_entropy(ColumnMatrix const& match);

/// Probability that a node's match state is visited on the way from begin to end: L values.
std::vector<double> match_occupancy(ProfileHmm const& hmm);

} // namespace tape
