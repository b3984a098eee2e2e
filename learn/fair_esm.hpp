#pragma once

#include "learn/transformer.hpp"

#include <filesystem>

namespace tape {

/// Reads an ESM-2 checkpoint of fair-esm (`esm2_t6_8M_UR50D.pt`: `cfg.model` and `model`, tensors under fairseq's
/// names), and its contact head from `NAME-contact-regression.pt` beside it if that is there.
/// https://github.com/facebookresearch/esm/blob/main/esm/pretrained.py
/// @throws data_error naming the file, and the field or tensor that is missing or wrong
LoadedTransformer load_fair_esm(std::filesystem::path const& file);
TransformerConfig fair_esm_config(std::filesystem::path const& file);

} // namespace tape
