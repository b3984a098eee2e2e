#pragma once

#include "data/npy.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace tape {

/// Streams arrays into an HDF5 file, one dataset each; a '/' in a name opens a group. The same arrays give the same
/// bytes (no times are stored). Several writers may work at once: calls into the library take turns.
class Hdf5Writer final : public ArrayWriter {
  public:
    explicit Hdf5Writer(std::filesystem::path const& file);
    ~Hdf5Writer() override;
    /// @throws error if the name was added before, is empty or has an empty part, or the file cannot be written
    void add(std::string const& name, Array const& array) override;
    void close() override;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
