#include "data/manifest.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <ctime>

namespace tape {

std::string utc_now() {
    std::time_t const now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

nlohmann::json to_json(Manifest const& manifest) {
    return {{"program", manifest.program}, {"argv", manifest.argv},      {"version", manifest.version},
            {"seed", manifest.seed},       {"inputs", manifest.inputs},  {"details", manifest.details},
            {"started", manifest.started}, {"seconds", manifest.seconds}};
}

} // namespace tape
