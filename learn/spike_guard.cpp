#include "learn/spike_guard.hpp"

#include <algorithm>

namespace tape {
namespace {

constexpr std::int64_t memory = 50;
constexpr double loss_factor = 1.5, norm_factor = 10;

} // namespace

bool SpikeGuard::accepts(double loss, double norm) {
    if (state_.accepted >= memory && (loss > loss_factor * state_.loss || norm > norm_factor * state_.norm)) {
        ++state_.refused;
        return false;
    }
    double const share = 1.0 / static_cast<double>(std::min(++state_.accepted, memory));
    state_.loss += share * (loss - state_.loss), state_.norm += share * (norm - state_.norm);
    state_.refused = 0;
    return true;
}

} // namespace tape
