#pragma once

#include <filesystem>
#include <vector>

namespace tape {

/// A temporary name beside `target` (".NAME.tmp-MACHINE-PID-N"). Whatever stands there is removed by the destructor,
/// and also when the process ends through SIGINT, SIGTERM or SIGHUP, unless `rename` was called. What a process leaves
/// that was killed otherwise is removed by the next that makes such a name in the same folder, on the same machine.
///
/// A symbolic link as target is followed, so that renaming replaces the file and not the link.
/// @throws error if the target's directory does not exist or the target is a directory.
class TemporaryPath {
  public:
    explicit TemporaryPath(std::filesystem::path const& target);
    ~TemporaryPath();
    TemporaryPath(TemporaryPath const&) = delete;
    TemporaryPath& operator=(TemporaryPath const&) = delete;

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }
    /// Puts the file in the target's place. @throws error
    void rename();
    /// The same for a file that another library wrote and closed: its bytes are on disk first.
    void sync_and_rename();

  private:
    std::filesystem::path target_, path_;
    int slot_ = -1; ///< place in the table of names that the signal handler removes
};

/// A folder for output, made with the folders above it where they are missing. Those that were made here and are still
/// empty at the end are removed again by the destructor: a run that fails before it wrote anything leaves no trace.
/// @throws error naming the folder and the reason if it cannot be made.
class OutputFolder {
  public:
    explicit OutputFolder(std::filesystem::path const& folder);
    ~OutputFolder();
    OutputFolder(OutputFolder const&) = delete;
    OutputFolder& operator=(OutputFolder const&) = delete;

  private:
    std::vector<std::filesystem::path> made_; ///< innermost first
};

/// A directory of its own below the system's temporary directory, removed with its content by the destructor.
class TemporaryDirectory {
  public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(TemporaryDirectory const&) = delete;
    TemporaryDirectory& operator=(TemporaryDirectory const&) = delete;
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

} // namespace tape
