#include "data/cache.hpp"

#include "data/error.hpp"

#include <cstdlib>

namespace tape {

std::filesystem::path cache_directory() {
    auto const variable = [](char const* name) -> std::filesystem::path {
        char const* const value = std::getenv(name);
        return value != nullptr ? value : "";
    };
    if (auto const own = variable("TAPE_CACHE"); !own.empty()) return own;
    if (auto const cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "tape";
    if (auto const home = variable("HOME"); !home.empty()) return home / ".cache" / "tape";
    throw error{"no cache directory: set TAPE_CACHE, XDG_CACHE_HOME or HOME"};
}

} // namespace tape
