#include "learn/checkpoint.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"

#include <nlohmann/json.hpp>

#include <set>
#include <string_view>
#include <vector>

namespace tape {
namespace {

nlohmann::json read_json(std::filesystem::path const& file) {
    if (!std::filesystem::exists(file)) throw data_error{file.string() + ": no such file"};
    auto const json = nlohmann::json::parse(read_text(file, std::uint64_t{64} << 20), nullptr, false);
    if (json.is_discarded()) throw data_error{file.string() + ": not valid JSON"};
    return json;
}

std::vector<std::filesystem::path> shards_of(std::filesystem::path const& index) {
    auto const json = read_json(index);
    if (!json.is_object() || !json.contains("weight_map") || !json.at("weight_map").is_object())
        throw data_error{index.string() + ": has no 'weight_map'"};
    std::set<std::string> names;
    for (auto const& [tensor, shard] : json.at("weight_map").items()) {
        // A shard is a plain name beside its index: nothing outside the folder is opened.
        if (!shard.is_string() || shard.get<std::string>().find('/') != std::string::npos)
            throw data_error{index.string() + ": tensor '" + tensor + "' names an impossible shard " + shard.dump()};
        names.insert(shard.get<std::string>());
    }
    std::vector<std::filesystem::path> files;
    for (auto const& name : names) files.push_back(index.parent_path() / name);
    return files;
}

std::vector<std::filesystem::path> weight_files(std::filesystem::path const& directory) {
    if (!std::filesystem::is_directory(directory)) return {directory};
    for (char const* const name : {"model.safetensors", "pytorch_model.bin"}) {
        if (auto const single = directory / name; std::filesystem::exists(single)) return {single};
        if (auto const index = directory / (std::string{name} + ".index.json"); std::filesystem::exists(index))
            return shards_of(index);
    }
    std::vector<std::filesystem::path> loose;
    for (auto const& entry : std::filesystem::directory_iterator{directory})
        if (entry.path().extension() == ".pt") loose.push_back(entry.path());
    if (loose.size() != 1)
        throw data_error{directory.string() + ": holds no model.safetensors and no pytorch_model.bin, and " +
                         (loose.empty() ? "no" : "more than one") + " .pt"};
    return loose;
}

void add(Checkpoint& checkpoint, std::filesystem::path const& path, std::string const& name, at::Tensor tensor) {
    if (!checkpoint.tensors.emplace(name, std::move(tensor)).second)
        throw data_error{path.string() + ": tensor '" + name + "' is also in another shard"};
}

void add_file(Checkpoint& checkpoint, std::filesystem::path const& path) {
    if (path.extension() == ".safetensors") {
        auto const& file = checkpoint.safetensors.emplace_back(path);
        checkpoint.hashes += content_hash(file.bytes());
        for (auto const& [name, view] : file.tensors()) add(checkpoint, path, name, tensor_over(view));
        return;
    }
    auto const& file = checkpoint.torch.emplace_back(path);
    checkpoint.hashes += content_hash(file.bytes());
    for (auto const& [name, tensor] : tensors_of(file)) add(checkpoint, path, name, tensor);
}

} // namespace

NamedTensors tensors_of(TorchFile const& file) {
    std::map<std::byte const*, at::Tensor> storages;
    NamedTensors tensors;
    for (auto const& [name, view] : file.tensors()) {
        if (view.storage.empty()) {
            tensors[name] = tensor_over({view.type, view.shape, {}});
            continue;
        }
        at::Tensor& whole = storages[view.storage.data()];
        auto const elements = static_cast<std::int64_t>(view.storage.size() / bytes_per_element(view.type));
        if (!whole.defined()) whole = tensor_over({view.type, {elements}, view.storage});
        tensors[name] = whole.as_strided(view.shape, view.strides, view.offset);
    }
    return tensors;
}

Checkpoint read_checkpoint(std::filesystem::path const& model) {
    Checkpoint checkpoint;
    for (auto const& path : weight_files(model)) add_file(checkpoint, path);
    return checkpoint;
}

std::filesystem::path folder_of(std::filesystem::path const& model) {
    return std::filesystem::is_directory(model) ? model : model.parent_path();
}

nlohmann::json read_config(std::filesystem::path const& directory) { return read_json(directory / "config.json"); }

int positive_field(nlohmann::json const& json, char const* field, std::string const& origin) {
    bool const there = json.contains(field);
    if (!there || !json.at(field).is_number_integer() || json.at(field).get<std::int64_t>() < 1 ||
        json.at(field).get<std::int64_t>() > 1'000'000)
        throw data_error{origin + ": field '" + field + "' must be a positive whole number, found " +
                         (there ? json.at(field).dump() : "(missing)")};
    return json.at(field).get<int>();
}

} // namespace tape
