#include "learn/models.hpp"

#include "data/cache.hpp"
#include "data/dataset.hpp"
#include "data/error.hpp"
#include "learn/bert.hpp"
#include "learn/checkpoint.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace tape {
namespace {

bool holds_npy(std::filesystem::path const& folder) {
    return std::ranges::any_of(std::filesystem::directory_iterator{folder},
                               [](auto const& entry) { return entry.path().extension() == ".npy"; });
}

ModelLocation locate_path(std::filesystem::path const& path) {
    if (std::filesystem::is_directory(path)) {
        if (std::filesystem::exists(path / "config.json"))
            return {describes_bert(read_config(path)) ? ModelKind::bert : ModelKind::transformer, path, {}};
        if (holds_npy(path)) return {ModelKind::unirep, path, {}};
        throw data_error{path.string() +
                         ": holds no model: expected config.json with model.safetensors or pytorch_model.bin, or "
                         "UniRep's .npy files"};
    }
    if (path.extension() == ".npz") return {ModelKind::unirep, path, {}};
    if (path.extension() == ".pt") return {ModelKind::fair_esm, path, {}};
    throw data_error{
        path.string() +
        ": not a model: give the folder that holds config.json and the weights, fair-esm's .pt, or a UniRep "
        ".npz"};
}

} // namespace

std::vector<std::string> const& model_names() {
    static std::vector<std::string> const names{"transformer", "unirep", "unirep-1900", "unirep-256", "unirep-64"};
    return names;
}

ModelLocation locate_model(std::string const& model) {
    if (model == "transformer") return {ModelKind::transformer, data_directory() / "weights" / "transformer", {}};
    if (std::ranges::find(model_names(), model) != model_names().end()) {
        std::string const name = model == "unirep" ? "unirep-1900" : model;
        return {ModelKind::unirep, cache_directory() / "models" / (name + ".npz"),
                "tape-data fetch unirep --accept-licence"};
    }
    if (std::filesystem::exists(model)) return locate_path(model);
    throw usage_error{"no model '" + model + "': neither a known name nor an existing path" +
                      did_you_mean(model, model_names())};
}

void require_weights(ModelLocation const& location) {
    if (std::filesystem::exists(location.path)) return;
    if (!location.fetch.empty())
        throw data_error{location.path.string() + ": the official UniRep weights are not here; get them with `" +
                         location.fetch + "`"};
    throw data_error{location.path.string() + ": the weights are not here"};
}

} // namespace tape
