#pragma once

#include "learn/named_tensors.hpp"
#include "learn/safetensors.hpp"
#include "learn/torch_file.hpp"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <list>
#include <string>

namespace tape {

/// The tensors of a model's weight files, which stay mapped as long as this object.
struct Checkpoint {
    NamedTensors tensors;
    std::string hashes; ///< of the files, joined
    std::list<SafetensorsFile> safetensors;
    std::list<TorchFile> torch;
};

/// Tensors over a file's storages where they are aligned, else over one copy of each.
NamedTensors tensors_of(TorchFile const& file);

/// Reads a folder as Hugging Face's: model.safetensors, or pytorch_model.bin, each whole or in the shards that its
/// index (FILE.index.json) names, or one .pt; the first of these that is there. Or reads one such file.
/// @throws data_error naming the file that is missing or wrong
Checkpoint read_checkpoint(std::filesystem::path const& model);
/// Where the config.json of a model stands: in the folder, or beside the weight file.
std::filesystem::path folder_of(std::filesystem::path const& model);

/// A folder's config.json. @throws data_error if it is missing or no JSON
nlohmann::json read_config(std::filesystem::path const& directory);
/// A size of a network. @throws data_error naming `origin` and the field unless it is a whole number of 1 to a million
int positive_field(nlohmann::json const& json, char const* field, std::string const& origin);

} // namespace tape
