#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tape::test {

/// What a program said and how it ended.
struct Outcome {
    int exit_code = -1;
    std::string out, err;
    long peak_kilobytes = 0; ///< most memory the program held
    double cpu_seconds = 0;  ///< user and system: what the program costs, whatever else the machine is doing
};

/// Runs the programs that were built beside the test, each test in an empty directory of its own.
class CliTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    /// Runs `program` (such as "tape-msa") with the arguments; stdin is empty. `file_limit` bounds the size of any file
    /// the program writes, in bytes (0 = none), which stands for a full disk.
    Outcome run(std::string const& program, std::vector<std::string> const& arguments, unsigned long file_limit = 0);
    /// The same, sent SIGKILL as soon as `moment` says so, if it still runs then (exit code 137).
    Outcome run_until(std::string const& program, std::vector<std::string> const& arguments,
                      std::function<bool()> const& moment);

    /// Runs the program and expects that it fails with the exit code, that its message stands on a line that starts
    /// with the program's name and holds every part, and that no file or folder appears, goes or changes its size.
    void expect_error(std::string const& program, std::vector<std::string> const& arguments, int exit_code,
                      std::vector<std::string> const& parts, unsigned long file_limit = 0);

    void write(std::string const& name, std::string const& text) const;
    [[nodiscard]] std::string read(std::string const& name) const;
    [[nodiscard]] std::filesystem::path path(std::string const& name) const { return directory_ / name; }
    /// Names of all files below the directory, sorted, without those in `cache/` and those starting with ".cli".
    [[nodiscard]] std::vector<std::string> files() const;

    std::filesystem::path directory_;

  private:
    [[nodiscard]] int start(std::string const& program, std::vector<std::string> const& arguments,
                            unsigned long file_limit) const;
    [[nodiscard]] Outcome outcome_of(int child) const;
    /// All files (with sizes) and folders, as text.
    [[nodiscard]] std::string inventory() const;
};

} // namespace tape::test
