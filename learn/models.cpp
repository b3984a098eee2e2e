#include "learn/models.hpp"

#include "data/cache.hpp"
#include "data/dataset.hpp"
#include "data/error.hpp"
#include "learn/bepler.hpp"
#include "learn/bert.hpp"
#include "learn/checkpoint.hpp"
#include "learn/tape_lstm.hpp"
#include "learn/tape_resnet.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <utility>

namespace tape {
namespace {

bool holds_npy(std::filesystem::path const& folder) {
    return std::ranges::any_of(std::filesystem::directory_iterator{folder},
                               [](auto const& entry) { return entry.path().extension() == ".npy"; });
}

/// Published networks that no weights come with.
constexpr std::array<std::pair<char const*, ModelKind>, 3> bare_networks{
    {{"lstm", ModelKind::tape_lstm}, {"resnet", ModelKind::tape_resnet}, {"bepler", ModelKind::bepler}}};

ModelKind kind_of_config(nlohmann::json const& json) {
    if (describes_bert(json)) return ModelKind::bert;
    if (describes_tape_lstm(json)) return ModelKind::tape_lstm;
    return describes_tape_resnet(json) ? ModelKind::tape_resnet : ModelKind::transformer;
}

/// The network whose tensors a PyTorch file names.
ModelKind kind_of_torch_file(std::filesystem::path const& path) {
    try {
        TorchFile const file{path};
        auto const has = [&](std::string const& root, char const* name) {
            return file.tensors().contains(name) || file.tensors().contains(root + name);
        };
        if (has("embedding.", "embed.lm.embed.weight")) return ModelKind::bepler;
        if (has("lstm.", "encoder.forward_lstm.0.lstm.weight_ih_l0")) return ModelKind::tape_lstm;
        if (has("resnet.", "encoder.layer.0.conv1.weight")) return ModelKind::tape_resnet;
    } catch (data_error const&) {
        // So are the released files of Bepler & Berger.
        std::throw_with_nested(data_error{
            path.string() + ": cannot be read; where it is a pickled program (a whole module), whose code "
                            "is not run here, save its tensors: torch.save(module.state_dict(), 'weights.pt')"});
    }
    return ModelKind::fair_esm;
}

/// The one PyTorch file of a folder without config.json.
std::optional<std::filesystem::path> lone_torch_file(std::filesystem::path const& folder) {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::directory_iterator{folder})
        if (auto const end = entry.path().extension(); end == ".pt" || end == ".sav" || end == ".bin")
            files.push_back(entry.path());
    return files.size() == 1 ? std::optional{files.front()} : std::nullopt;
}

ModelLocation locate_path(std::filesystem::path const& path) {
    if (std::filesystem::is_directory(path)) {
        if (std::filesystem::exists(path / "config.json")) return {kind_of_config(read_config(path)), path, {}};
        if (holds_npy(path)) return {ModelKind::unirep, path, {}};
        if (auto const file = lone_torch_file(path)) return {kind_of_torch_file(*file), *file, {}};
        throw data_error{path.string() +
                         ": holds no model: expected config.json with model.safetensors or pytorch_model.bin, "
                         "UniRep's .npy files, or one .pt of Bepler & Berger's model"};
    }
    if (path.extension() == ".npz") return {ModelKind::unirep, path, {}};
    if (path.extension() == ".pt" || path.extension() == ".sav") return {kind_of_torch_file(path), path, {}};
    throw data_error{path.string() + ": not a model: give the folder that holds config.json and the weights, a .pt of "
                                     "fair-esm, TAPE or Bepler & Berger, or a UniRep .npz"};
}

} // namespace

std::vector<std::string> const& model_names() {
    static std::vector<std::string> const names{"transformer", "unirep", "unirep-1900", "unirep-256",
                                                "unirep-64",   "lstm",   "resnet",      "bepler"};
    return names;
}

ModelLocation locate_model(std::string const& model) {
    for (auto const& [name, kind] : bare_networks)
        if (model == name) return {kind, {}, {}};
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
    if (location.path.empty())
        throw usage_error{"lstm, resnet and bepler are networks without weights here: give the folder or file of "
                          "their weights (./lstm for one of that name), or ask for fresh ones (--random, NAME@random)"};
    if (std::filesystem::exists(location.path)) return;
    if (!location.fetch.empty())
        throw data_error{location.path.string() + ": the official UniRep weights are not here; get them with `" +
                         location.fetch + "`"};
    throw data_error{location.path.string() + ": the weights are not here"};
}

} // namespace tape
