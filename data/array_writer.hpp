#pragma once

#include "data/npy.hpp"

#include <filesystem>
#include <memory>

namespace tape {

/// @throws usage_error if the file's name asks for HDF5 and this build has none: to be asked before the work is done
void check_array_format(std::filesystem::path const& file);

/// Writer for the format that the file's name asks for: HDF5 for .h5 and .hdf5, else .npz. Checks as above.
std::unique_ptr<ArrayWriter> array_writer(std::filesystem::path const& file);

} // namespace tape
