#include "compare/experiment_store.hpp"

#include "data/io.hpp"

#include <nlohmann/json.hpp>

#include <cstring>
#include <stdexcept>

namespace tape {

namespace {

using nlohmann::json;

constexpr int store_version = 2;

template <typename T> json to_binary(std::vector<T> const& values) {
    std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return json::binary(std::move(bytes));
}

template <typename T> std::vector<T> from_binary(json const& value) {
    auto const& bytes = value.get_binary();
    if (bytes.size() % sizeof(T) != 0) throw std::runtime_error{"odd size"};
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

json to_json(Prediction const& prediction) {
    return {{"residues", to_binary(prediction.residue_classes)},
            {"pairs", to_binary(prediction.pairs)},
            {"classes", to_binary(prediction.top_classes)},
            {"confidence", to_binary(prediction.confidence)},
            {"value", prediction.value}};
}

Prediction prediction_from(json const& value) {
    return {.residue_classes = from_binary<std::int16_t>(value.at("residues")),
            .pairs = from_binary<PairPrediction>(value.at("pairs")),
            .top_classes = from_binary<int>(value.at("classes")),
            .confidence = from_binary<float>(value.at("confidence")),
            .value = value.at("value").get<double>()};
}

/// Upper triangle with diagonal: the maps are symmetric.
json to_json(FeatureMatrix const& map) {
    std::vector<float> triangle;
    for (Eigen::Index i = 0; i < map.rows(); ++i)
        for (Eigen::Index j = i; j < map.cols(); ++j) triangle.push_back(map(i, j));
    return {{"length", map.rows()}, {"triangle", to_binary(triangle)}};
}

FeatureMatrix map_from(json const& value) {
    auto const length = value.at("length").get<Eigen::Index>();
    auto const triangle = from_binary<float>(value.at("triangle"));
    if (std::ssize(triangle) != length * (length + 1) / 2) throw std::runtime_error{"odd size"};
    FeatureMatrix map(length, length);
    std::size_t next = 0;
    for (Eigen::Index i = 0; i < length; ++i)
        for (Eigen::Index j = i; j < length; ++j) map(i, j) = map(j, i) = triangle[next++];
    return map;
}

json to_json(StoredRun const& stored) {
    auto const& run = stored.run;
    json predictions = json::array(), maps = json::array();
    for (auto const& prediction : run.predictions) predictions.push_back(to_json(prediction));
    for (auto const& map : stored.maps) maps.push_back(to_json(map));
    return {{"version", store_version},
            {"arm", run.arm},
            {"seed", run.seed},
            {"head", run.head},
            {"hyperparameters", run.hyperparameters},
            {"valid_score", run.valid_score},
            {"train_size", run.train_size},
            {"valid_size", run.valid_size},
            {"feature_seconds", run.feature_seconds},
            {"head_seconds", run.head_seconds},
            {"predictions", std::move(predictions)},
            {"maps", std::move(maps)},
            {"depth", to_binary(stored.evidence.depth)},
            {"provenance", stored.evidence.provenance}};
}

StoredRun stored_run_from(json const& value) {
    if (value.at("version") != store_version) throw std::runtime_error{"other version"};
    StoredRun stored;
    auto& run = stored.run;
    value.at("arm").get_to(run.arm);
    value.at("seed").get_to(run.seed);
    value.at("head").get_to(run.head);
    value.at("hyperparameters").get_to(run.hyperparameters);
    value.at("valid_score").get_to(run.valid_score);
    value.at("train_size").get_to(run.train_size);
    value.at("valid_size").get_to(run.valid_size);
    value.at("feature_seconds").get_to(run.feature_seconds);
    value.at("head_seconds").get_to(run.head_seconds);
    for (auto const& prediction : value.at("predictions")) run.predictions.push_back(prediction_from(prediction));
    for (auto const& map : value.at("maps")) stored.maps.push_back(map_from(map));
    stored.evidence.depth = from_binary<float>(value.at("depth"));
    value.at("provenance").get_to(stored.evidence.provenance);
    return stored;
}

} // namespace

RunStore::RunStore(std::filesystem::path directory) : directory_{std::move(directory)} {
    std::filesystem::create_directories(directory_);
}

std::optional<StoredRun> RunStore::find(std::string const& key) const {
    auto const file = directory_ / (key + ".cbor");
    if (!std::filesystem::exists(file)) return std::nullopt;
    try {
        return stored_run_from(json::from_cbor(read_text(file)));
    } catch (std::exception const&) {
        // A damaged or older file is no reason to stop: the run is fitted again and replaces it.
        return std::nullopt;
    }
}

void RunStore::store(std::string const& key, StoredRun const& run) const {
    auto const bytes = json::to_cbor(to_json(run));
    write_text(directory_ / (key + ".cbor"), {reinterpret_cast<char const*>(bytes.data()), bytes.size()});
}

} // namespace tape
