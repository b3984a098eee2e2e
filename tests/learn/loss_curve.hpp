#pragma once

#include "learn/pretrain.hpp"

#include <filesystem>
#include <string>

namespace tape::test {

/// The small run whose loss curve is compared with PyTorch's (make_loss_curve.py): writes its corpus and profiles into
/// a folder. @param objective  "mlm", "next" or "mlm+profile"
PretrainOptions loss_curve_run(std::filesystem::path const& folder, std::string const& objective);

/// What PyTorch needs for the same run: FOLDER/initial.safetensors and FOLDER/batches.jsonl, one step a line.
void export_loss_curve_run(std::filesystem::path const& folder, std::string const& objective);

} // namespace tape::test
