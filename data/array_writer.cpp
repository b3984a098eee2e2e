#include "data/array_writer.hpp"

#include "data/error.hpp"

#ifdef TAPE_WITH_HDF5
#include "data/hdf5.hpp"
#endif

namespace tape {
namespace {

bool is_hdf5(std::filesystem::path const& file) { return file.extension() == ".h5" || file.extension() == ".hdf5"; }

} // namespace

void check_array_format([[maybe_unused]] std::filesystem::path const& file) {
#ifndef TAPE_WITH_HDF5
    if (is_hdf5(file))
        throw usage_error{file.string() + ": this build writes no HDF5 (libhdf5 was not there); name a .npz file"};
#endif
}

std::unique_ptr<ArrayWriter> array_writer(std::filesystem::path const& file) {
    check_array_format(file);
#ifdef TAPE_WITH_HDF5
    if (is_hdf5(file)) return std::make_unique<Hdf5Writer>(file);
#endif
    return std::make_unique<NpzWriter>(file);
}

} // namespace tape
