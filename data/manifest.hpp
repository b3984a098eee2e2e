#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tape {

/// What made an output: every program writes one beside (or inside) what it produces.
struct Manifest {
    std::string program;
    std::vector<std::string> argv;
    std::string version;
    std::uint64_t seed = 0;
    std::map<std::string, std::string> inputs;  ///< path or name -> content hash
    std::map<std::string, std::string> details; ///< library versions, device, threads, anything worth knowing
    std::string started;                        ///< UTC, ISO 8601
    double seconds = 0;
};

nlohmann::json to_json(Manifest const& manifest);
std::string utc_now();

} // namespace tape
