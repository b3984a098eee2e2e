#pragma once

#include "align/msa.hpp"
#include "align/profile.hpp"
#include "data/npy.hpp"
#include "features/potts.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// An alignment's features under names, for people and their scripts: what `tape-msa` writes.
namespace tape {

struct AlignmentFeatureOptions {
    bool alignment = true;                                              ///< the N x L codes themselves
    bool coevolution = false;                                           ///< the first three L x L maps
    bool mutual_information = false, mean_field = false, potts = false; ///< single ones: the first, second, last
    /// Fitted already, to `identity_weights` at 80%; without it `potts` fits one.
    std::shared_ptr<PottsModel const> potts_model = {};
    int threads = 1;
};

/// Arrays in the order written, float32 unless said. N rows, L columns; residues in the order ACDEFGHIKLMNPQRSTVWY.
///   residues (L, uint8)          codes of the query: 0-19, 21 = unknown
///   alignment (N x L, uint8)     codes; 20 = gap
///   counts, frequencies, scores (L x 20)  without and with pseudocounts; log2(frequencies / background) in bits
///   entropy (L)                  nats; gap_fraction (L); neff_column (L)
///   conservation, insertion_rate, gap_rate, relative_depth (L)  see features/column_features.hpp
///   neff (2)                     at 80% identity; exp of the mean column entropy
///   weights (N)                  Henikoff, summing to N; identity_weights (N): 1 / rows within 80% identity
///   mutual_information, direct_coupling, inverse_covariance, potts_coupling (L x L)  APC-corrected, not standardised
/// @throws data_error if the Potts model would be too large (features/potts.hpp)
std::vector<std::pair<std::string, Array>> alignment_features(Msa const& msa,
                                                              AlignmentFeatureOptions const& options = {});

/// Writes them as .npz, as HDF5 (.h5) or as JSON (.json: names as keys, nested lists). Atomic.
void write_alignment_features(std::filesystem::path const& file,
                              std::vector<std::pair<std::string, Array>> const& features);

nlohmann::json to_json(std::vector<std::pair<std::string, Array>> const& features);

} // namespace tape
