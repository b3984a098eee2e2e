#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace tape {

/// A progress line on stderr with rate and time left; silent unless stderr is a terminal and `quiet` is off.
/// Thread-safe.
class Progress {
  public:
    Progress(std::string label, std::uint64_t total, std::string unit, bool quiet = false);
    ~Progress();
    void advance(std::uint64_t amount = 1);

  private:
    void draw(bool last);
    std::string label_, unit_;
    std::uint64_t total_, done_ = 0;
    bool active_;
    std::chrono::steady_clock::time_point start_, last_draw_;
    std::mutex mutex_;
};

} // namespace tape
