#pragma once

#include <cstdint>

namespace tape {

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): one addition and three shifts a draw, any seed is a good seed. The
/// standard library's distributions differ between implementations, so a resample would not be reproducible with them.
class Random {
  public:
    /// Independent streams of one seed: resample b of a bootstrap is stream b, whichever thread draws it.
    explicit Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept : state_{mix(mix(seed) + stream)} {}

    std::uint64_t next() noexcept {
        state_ += 0x9E3779B97F4A7C15u;
        return mix(state_);
    }
    /// Uniform in [0, bound), by multiplication; the bias is below bound / 2^32.
    std::uint32_t below(std::uint32_t bound) noexcept {
        return static_cast<std::uint32_t>((std::uint64_t{static_cast<std::uint32_t>(next() >> 32)} * bound) >> 32);
    }
    /// Uniform in [0, 1).
    double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  private:
    static std::uint64_t mix(std::uint64_t z) noexcept {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

} // namespace tape
