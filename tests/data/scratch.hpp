#pragma once

#include "data/error.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tape::test {

/// Where test files go: in memory where the system offers that, since some tests write thousands of small files.
inline std::filesystem::path scratch_root() {
    std::error_code ignored;
    if (std::getenv("TMPDIR") == nullptr && std::filesystem::is_directory("/dev/shm", ignored)) return "/dev/shm";
    return std::filesystem::temp_directory_path();
}

/// A directory of its own for every test, removed afterwards.
class Scratch : public ::testing::Test {
  protected:
    Scratch() {
        std::string pattern = (scratch_root() / "tape-test-XXXXXX").string();
        directory = ::mkdtemp(pattern.data());
    }
    ~Scratch() override {
        std::error_code ignored;
        std::filesystem::remove_all(directory, ignored);
    }

    /// Writes a file as it is and returns its path.
    std::filesystem::path file(std::string const& name, std::string const& content) const {
        std::ofstream{directory / name, std::ios::binary} << content;
        return directory / name;
    }
    [[nodiscard]] std::size_t files_left() const {
        std::size_t count = 0;
        for ([[maybe_unused]] auto const& entry : std::filesystem::recursive_directory_iterator{directory}) ++count;
        return count;
    }

    std::filesystem::path directory;
};

inline std::string bytes_of(std::filesystem::path const& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// Full message (with causes) and exit code of what `run` throws; {"", done} if it throws nothing.
struct Outcome {
    std::string message;
    exit_code code = exit_code::done;
};

template <typename Run> Outcome outcome_of(Run run) {
    try {
        run();
    } catch (std::exception const& problem) {
        return {describe(problem), exit_code_of(problem)};
    }
    return {};
}

inline std::filesystem::path golden(std::string const& name) {
    return std::filesystem::path{TAPE_SOURCE_DIR} / "tests/golden/data" / name;
}

} // namespace tape::test
