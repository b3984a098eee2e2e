#include "features/alignment_features.hpp"

#include "data/array_writer.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "features/coevolution.hpp"
#include "features/column_features.hpp"

#include <nlohmann/json.hpp>

#include <numeric>
#include <ostream>

namespace tape {
namespace {

Array matrix(ColumnMatrix const& values) {
    return Array::from<float>({values.data(), static_cast<std::size_t>(values.size())},
                              {static_cast<std::size_t>(values.rows()), 20});
}

Array vector(std::vector<float> const& values) { return Array::from<float>(values, {values.size()}); }

/// A list, or a list of lists for two dimensions.
template <typename T> nlohmann::json nested(Array const& array) {
    auto const values = array.as<T>();
    if (array.shape.size() == 1) return std::vector<T>(values.begin(), values.end());
    nlohmann::json rows = nlohmann::json::array();
    std::size_t const width = array.shape.at(1);
    for (std::size_t r = 0; r < array.shape[0]; ++r)
        rows.push_back(std::vector<T>(values.begin() + r * width, values.begin() + (r + 1) * width));
    return rows;
}

} // namespace

std::vector<std::pair<std::string, Array>> alignment_features(Msa const& msa, AlignmentFeatureOptions const& options) {
    auto const weights = henikoff_weights(msa);
    auto const identities = identity_weights(msa, 0.8, options.threads);
    Profile const profile = make_profile(msa, weights, {.neff_identity = false, .threads = options.threads});
    std::size_t const depth = msa.depth(), length = msa.length();
    std::vector<std::pair<std::string, Array>> features;
    auto const add = [&](std::string name, Array array) { features.emplace_back(std::move(name), std::move(array)); };
    add("residues", Array::from<std::uint8_t>(msa.rows.at(0).columns, {length}));
    if (options.alignment) {
        std::vector<std::uint8_t> codes;
        codes.reserve(depth * length);
        for (auto const& row : msa.rows) codes.insert(codes.end(), row.columns.begin(), row.columns.end());
        add("alignment", Array::from<std::uint8_t>(codes, {depth, length}));
    }
    add("counts", matrix(profile.counts)), add("frequencies", matrix(profile.frequencies)),
        add("scores", matrix(profile.scores));
    add("entropy", vector(profile.entropy)), add("gap_fraction", vector(profile.gap_fraction));
    add("neff_column", vector(profile.neff_column));
    ColumnFeatures const columns = column_features(msa, profile, weights);
    add("conservation", vector(columns.conservation)), add("insertion_rate", vector(columns.insertion_rate)),
        add("gap_rate", vector(columns.gap_rate)), add("relative_depth", vector(columns.relative_depth));
    add("neff",
        vector({static_cast<float>(std::accumulate(identities.begin(), identities.end(), 0.0)), profile.neff_entropy}));
    add("weights", vector(weights)), add("identity_weights", vector(identities));
    auto const add_map = [&](std::string name, std::vector<float> const& values) {
        add(std::move(name), Array::from<float>(average_product_correction(values, length), {length, length}));
    };
    if (options.coevolution || options.mutual_information)
        add_map("mutual_information", mutual_information(msa, identities));
    if (options.coevolution || options.mean_field) add_map("direct_coupling", mean_field_couplings(msa, identities));
    if (options.coevolution) add_map("inverse_covariance", shrunk_inverse_covariance(msa, identities));
    if (options.potts) {
        auto model = options.potts_model;
        if (!model)
            model = std::make_shared<PottsModel const>(fit_potts(msa, identities, {.threads = options.threads}));
        add_map("potts_coupling", coupling_norms(*model));
    }
    return features;
}

nlohmann::json to_json(std::vector<std::pair<std::string, Array>> const& features) {
    nlohmann::json object = nlohmann::json::object();
    for (auto const& [name, array] : features)
        object[name] = array.type == Array::Type::uint8 ? nested<std::uint8_t>(array) : nested<float>(array);
    return object;
}

void write_alignment_features(std::filesystem::path const& file,
                              std::vector<std::pair<std::string, Array>> const& features) {
    if (file.extension() == ".json") return write_text(file, to_json(features).dump() + "\n");
    auto const writer = array_writer(file);
    for (auto const& [name, array] : features) writer->add(name, array);
    writer->close();
}

} // namespace tape
