#pragma once

#include <cstdint>

namespace tape {

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): small, seekable by seed, and the same numbers on every platform,
/// which the standard library's distributions do not promise.
class Random {
  public:
    explicit constexpr Random(std::uint64_t seed) : state_{seed} {}
    /// A stream of its own for each (seed, purpose, index).
    constexpr Random(std::uint64_t seed, std::uint64_t purpose, std::uint64_t index)
        : state_{mix(mix(mix(seed) ^ purpose) ^ index)} {}

    constexpr std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
    /// Uniform in [0, bound). The bias of the multiplication is below bound / 2^64.
    constexpr std::uint64_t below(std::uint64_t bound) {
        return static_cast<std::uint64_t>((__extension__ static_cast<unsigned __int128>(next())) * bound >> 64);
    }
    /// Uniform in [0, 1).
    constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

    static constexpr std::uint64_t mix(std::uint64_t x) {
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
        x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
        return x ^ x >> 31;
    }

  private:
    std::uint64_t state_;
};

/// Element `index` of a pseudo-random permutation of [0, count), without storing it: a four-round Feistel network over
/// the next even power of two, walked until it lands inside.
std::uint64_t permuted(std::uint64_t index, std::uint64_t count, std::uint64_t key);

} // namespace tape
