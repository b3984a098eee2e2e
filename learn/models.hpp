#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tape {

enum class ModelKind { transformer, fair_esm, bert, unirep, tape_lstm, tape_resnet, bepler };

/// Where a model's weights are.
struct ModelLocation {
    ModelKind kind{};
    std::filesystem::path path; ///< folder or file; for a name: where its weights belong; empty for a bare network
    std::string fetch;          ///< for a fetched name whose weights are not there yet: the command that gets them
};

/// Names that need no path: "transformer" is bundled; "unirep" (= "unirep-1900"), "unirep-256" and "unirep-64" are
/// fetched; "lstm", "resnet" and "bepler" are published shapes without weights, to be drawn.
std::vector<std::string> const& model_names();

/// @param model  one of `model_names`; a folder (config.json: Hugging Face's ESM-2 or BERT, TAPE's BERT, LSTM or
/// ResNet, our own run; without it: UniRep's .npy files, or a PyTorch file of Bepler & Berger's model); a PyTorch file
/// (.pt, .sav: fair-esm's ESM-2, Bepler & Berger's model, TAPE's LSTM or ResNet beside its config.json); or a UniRep
/// .npz
/// @throws usage_error for a name or path that does not exist, data_error for one that holds no known model
ModelLocation locate_model(std::string const& model);

/// @throws data_error telling how to get the weights when they are not there
void require_weights(ModelLocation const& location);

} // namespace tape
