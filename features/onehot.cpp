#include "features/onehot.hpp"

#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"

#include <exception>

namespace tape {

int onehot_channel(unsigned residue) noexcept {
    return residue < amino_acid_count ? static_cast<int>(residue) : OneHotSource::width - 1;
}

std::string OneHotSource::description() const { return "the residues themselves, one channel an amino acid"; }

std::string OneHotSource::content_hash() const {
    return tape::content_hash("onehot 1: 20 amino acids in code order, other");
}

namespace {

FeatureMatrix onehot_rows(Protein const& protein) {
    std::vector<Residue> codes;
    try {
        codes = encode_residues(protein.residues);
    } catch (data_error const&) {
        std::throw_with_nested(data_error{"one-hot features of record '" + protein.id + "'"});
    }
    FeatureMatrix rows = FeatureMatrix::Zero(static_cast<Eigen::Index>(codes.size()), OneHotSource::width);
    for (std::size_t i = 0; i < codes.size(); ++i) rows(static_cast<Eigen::Index>(i), onehot_channel(codes[i])) = 1;
    return rows;
}

} // namespace

std::vector<ProteinFeatures> OneHotSource::compute(std::span<Protein const> proteins, FeatureRequest request) {
    std::vector<ProteinFeatures> result(proteins.size());
    if (!request.rows && !request.pooled) return result;
    for (std::size_t p = 0; p < proteins.size(); ++p) {
        FeatureMatrix rows = onehot_rows(proteins[p]);
        if (request.pooled) {
            result[p].pooled.assign(width, 0.f);
            if (rows.rows() > 0) Eigen::Map<Eigen::RowVectorXf>(result[p].pooled.data(), width) = rows.colwise().mean();
        }
        if (request.rows) result[p].rows = std::move(rows);
    }
    return result;
}

} // namespace tape
