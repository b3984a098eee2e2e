#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"
#include "features/feature_source.hpp"

#include <span>
#include <string>
#include <vector>

// From an alignment and its profile to the numbers a head reads. Every channel has a name; scales bring typical values
// near 1.
namespace tape {

/// Channels of `msa_rows`, L x 69:
///   frequency_A .. frequency_Y   column frequencies with pseudocounts (20)
///   score_A .. score_Y           log-odds against the background, bits / 4 (20)
///   entropy                      of the column's counts, nats
///   gap_fraction                 weighted
///   log_neff_column              log of the column's Neff, nats
///   log_neff                     log of the alignment's Neff at 80% identity / 4; the same in every row
///   divergence                   Jensen-Shannon divergence of column and background, bits (Capra & Singh,
///                                Bioinformatics 23:1875, 2007)
///   own_frequency, own_score     of the protein's own residue (score in bits / 4); 0 for an unknown residue
///   own_minus_best               own score less the column's best, bits / 4, 0 or negative
///   residue_A .. residue_Y, residue_other   the sequence itself, one-hot (21)
std::vector<std::string> const& msa_residue_channels();

/// @param protein  L residue codes, L = columns of the profile
FeatureMatrix msa_rows(Profile const& profile, std::span<Residue const> protein);

/// The two steps of `msa_rows`, for many proteins over one profile: the channels of the columns, then (in a copy) those
/// of the protein's own residues.
FeatureMatrix msa_column_rows(Profile const& profile);
FeatureMatrix with_residues(FeatureMatrix column_rows, std::span<Residue const> protein);

/// Channels of `msa_pooled`: mean_<row channel> (69), then terms of the protein's differences from the alignment's
/// query:
///   mutations                    their number
///   sum_score, min_score         own score less the query residue's, bits: sum (the site-independent variant score)
///   and worst sum_loss                     sum over the differences for the worse only, bits sum_entropy,
///   sum_conservation  column entropy at the differences, and log 20 less it, nats sum_conserved_loss           loss
///   weighted by conservation / log 20 sum_gap_fraction             at the differences unseen differences to a residue
///   that no homolog shows there at_conserved, at_middle, at_variable  differences at columns of entropy < 0.5, < 1.5,
///   >= 1.5 nats sum_substitution             BLOSUM62 of query residue and own, half bits hydropathy_change,
///   volume_change      sums of absolute changes weighted by conservation / log 20 (Kyte & Doolittle, J Mol
///                                Biol 157:105, 1982, units of 4.5; Zamyatnin, Prog Biophys Mol Biol 24:107, 1972, 100
///                                A^3)
///   to_proline, from_glycine     counts
///   deletions, insertions, deleted_conservation  columns without a residue, residues without a column, conservation
///   there mutations_squared / 10, sum_score_squared / 100
std::vector<std::string> const& msa_pooled_channels();

/// Gaps between a protein and its alignment's query.
struct Indels {
    float deletions = 0, insertions = 0;
    float deleted_conservation = 0; ///< sum of log 20 less the entropy, nats
};

/// @param rows   of `msa_rows`
/// @param query  L residue codes of the alignment's first row; unknown where the protein has an insertion
std::vector<float> msa_pooled(FeatureMatrix const& rows, Profile const& profile, std::span<Residue const> protein,
                              std::span<Residue const> query, Indels const& indels = {});

/// Channels of `msa_pairs`, L x L x 4: mutual_information, direct_coupling, inverse_covariance (each APC-corrected,
/// then standardised over pairs with |i-j| >= 6, zero on the diagonal and for a single row), and separation = log(1 +
/// |i-j|) / 5.
std::vector<std::string> const& msa_pair_channels();
std::vector<float> msa_pairs(Msa const& msa, int threads = 1);

} // namespace tape
