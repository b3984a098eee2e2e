#pragma once

#include "apps/cli.hpp"
#include "data/manifest.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

namespace tape::cli {

/// Refuses to write over a file that holds something, unless --force is given.
/// @throws usage_error
void check_overwrite(Arguments const& arguments, std::filesystem::path const& file);

/// A file that a program writes, and the manifest beside it (FILE.manifest.json).
///
/// A file that is there already is written over if its manifest says that the same program made it, for what it made it
/// can make again; anything else is the user's and needs --force.
class OutputFile {
  public:
    /// @throws usage_error as check_overwrite, if the file is not the program's own
    OutputFile(Program const& program, Arguments const& arguments, std::filesystem::path file);

    [[nodiscard]] std::filesystem::path const& path() const { return file_; }
    [[nodiscard]] bool is_stdout() const { return file_ == "-"; }
    /// Content hashes of what the file is made from, by path.
    void add_input(std::string const& path, std::string hash) { manifest_.inputs[path] = std::move(hash); }
    /// After the file itself; nothing for stdout, devices and pipes.
    void write_manifest(std::map<std::string, std::string> details);
    /// Whether the file is there and its manifest tells this detail.
    [[nodiscard]] bool tells(std::string const& detail, std::string const& value) const;

  private:
    std::filesystem::path file_;
    Manifest manifest_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace tape::cli
