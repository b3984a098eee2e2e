#pragma once

#include <cstdint>

namespace tape {

/// Tells steps that would harm a network from the usual noise: a gradient ten times longer, or a loss half as high
/// again, as the recent ones (exponential means over about 50 accepted steps; nothing is refused before there were 50).
class SpikeGuard {
  public:
    /// What a resumed run needs.
    struct State {
        double loss = 0, norm = 0; ///< means
        std::int64_t accepted = 0;
        std::int64_t refused = 0; ///< in a row
    };
    /// So many refused in a row are no spike: the run has diverged.
    static constexpr std::int64_t most_refused = 20;

    explicit SpikeGuard(State const& state) : state_{state} {}
    /// Whether the update is to be made.
    bool accepts(double loss, double norm);
    [[nodiscard]] State const& state() const noexcept { return state_; }

  private:
    State state_;
};

} // namespace tape
