#pragma once

#include "data/error.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

// What the fuzz targets share. A target hands one input to a reader; the reader accepts it or throws tape::error, and
// anything else (another exception, a sanitizer report, a hang, 2 GB) is a finding.
namespace tape::fuzz {

inline std::string_view text(std::uint8_t const* data, std::size_t size) {
    return {reinterpret_cast<char const*>(data), size};
}

/// A file in memory (/dev/shm) of this process, for readers that take a path.
class ScratchFile {
  public:
    explicit ScratchFile(std::string const& ending = "")
        : path_{std::filesystem::path{"/dev/shm"} / ("tape_fuzz_" + std::to_string(::getpid()) + ending)} {}
    ~ScratchFile() { std::filesystem::remove(path_); }
    ScratchFile(ScratchFile const&) = delete;
    ScratchFile& operator=(ScratchFile const&) = delete;

    std::filesystem::path const& write(std::string_view bytes) const {
        std::FILE* const file = std::fopen(path_.c_str(), "wb");
        if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) std::abort();
        std::fclose(file);
        return path_;
    }
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

template <typename Call> void accept_or_refuse(Call const& call) {
    try {
        call();
    } catch (tape::error const&) { // refused, as it should
    }
}

/// Stops the run: what was read does not survive being written and read again.
inline void require(bool holds, char const* what) {
    if (holds) return;
    std::fprintf(stderr, "property violated: %s\n", what);
    std::abort();
}

} // namespace tape::fuzz
