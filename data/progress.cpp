#include "data/progress.hpp"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace tape {
namespace {

std::string duration(double seconds) {
    if (!std::isfinite(seconds)) return "?";
    auto const whole = static_cast<long long>(seconds + 0.5);
    char text[32];
    if (whole >= 3600)
        std::snprintf(text, sizeof text, "%lldh%02lldm", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        std::snprintf(text, sizeof text, "%lldm%02llds", whole / 60, whole % 60);
    else
        std::snprintf(text, sizeof text, "%llds", whole);
    return text;
}

std::string amount(double value) {
    char text[32];
    if (value >= 1e6)
        std::snprintf(text, sizeof text, "%.1fM", value / 1e6);
    else if (value >= 1e4)
        std::snprintf(text, sizeof text, "%.1fk", value / 1e3);
    else
        std::snprintf(text, sizeof text, value < 10 ? "%.1f" : "%.0f", value);
    return text;
}

} // namespace

Progress::Progress(std::string label, std::uint64_t total, std::string unit, bool quiet)
    : label_{std::move(label)}, unit_{std::move(unit)}, total_{total}, active_{!quiet && isatty(STDERR_FILENO) == 1},
      start_{std::chrono::steady_clock::now()}, last_draw_{start_} {}

Progress::~Progress() {
    if (active_) draw(true);
}

void Progress::advance(std::uint64_t amount) {
    if (!active_) return;
    std::lock_guard const lock{mutex_};
    done_ += amount;
    auto const now = std::chrono::steady_clock::now();
    if (now - last_draw_ < std::chrono::milliseconds{200}) return;
    last_draw_ = now;
    draw(false);
}

void Progress::draw(bool last) {
    double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    double const rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
    std::string line{"\r"};
    line += label_ + ": " + std::to_string(done_);
    if (total_ > 0) {
        double const left =
            rate > 0 ? static_cast<double>(total_ - (done_ < total_ ? done_ : total_)) / rate : INFINITY;
        line += "/" + std::to_string(total_) + " " + unit_ + " (" + std::to_string(done_ * 100 / total_) + "%), " +
                amount(rate) + " " + unit_ + "/s";
        line += last ? ", " + duration(seconds) : ", " + duration(left) + " left";
    } else {
        line += " " + unit_ + ", " + amount(rate) + " " + unit_ + "/s, " + duration(seconds);
    }
    line += "\x1b[K"; // clears what a longer line left behind
    if (last) line += "\n";
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
}

} // namespace tape
