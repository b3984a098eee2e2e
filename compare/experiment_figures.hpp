#pragma once

#include "align/msa.hpp"
#include "compare/result.hpp"
#include "features/feature_source.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

// What the report's figures need beside the predictions.
namespace tape {

/// Alignment columns of a protein against the measured values of its variants.
///
/// @param alignment  query-anchored; the query may differ from the wild type by a shift and by substitutions
/// @param variants   proteins of one length with a value each; the wild type is the one with attribute num_mutations =
/// 0,
///                   else the most common residue at each position
/// Entropy is that of Henikoff-weighted column frequencies, in nats, NaN at positions without a column. A position's
/// mean is over the variants whose residue differs from the wild type's there. `shown_rows` rows are taken evenly over
/// the alignment, the query first. O(variants x L).
PositionStatistics position_statistics(Msa const& alignment, std::span<Example const> variants, std::size_t shown_rows);

/// Values of the variants by their attribute num_mutations, ascending; variants without it are left out.
std::vector<MutationCount> count_mutations(std::span<Example const> variants);

/// Rows of a protein's alignment over its residues, taken evenly, the first one first; entropy as above.
ShownAlignment shown_alignment(std::string const& task, Protein const& protein, Msa const& alignment,
                               std::size_t shown_rows);

/// Features of several sources side by side, each centred and scaled to a total variance of one, so that no source
/// outweighs another by its number of columns or its unit; those of a single source as they are.
/// @param parts  at least one, N x D_k each
/// @return       N x (sum of D_k)
FeatureMatrix joined_evenly(std::span<FeatureMatrix const> parts);

/// t-SNE of pooled features of variants.
/// @param pooled  N x D, parallel to `variants`
EmbeddingSample embedding_sample(std::string const& source, std::span<Example const> variants,
                                 FeatureMatrix const& pooled, int threads);

} // namespace tape
