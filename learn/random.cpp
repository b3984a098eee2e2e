#include "learn/random.hpp"

#include <bit>

namespace tape {

std::uint64_t permuted(std::uint64_t index, std::uint64_t count, std::uint64_t key) {
    int const half = (std::bit_width(count) + 1) / 2;
    std::uint64_t const mask = (std::uint64_t{1} << half) - 1;
    do {
        std::uint64_t left = index >> half, right = index & mask;
        for (std::uint64_t round = 0; round < 4; ++round) {
            std::uint64_t const mixed = left ^ (Random::mix(right ^ Random::mix(key + round)) & mask);
            left = right, right = mixed;
        }
        index = left << half | right;
    } while (index >= count);
    return index;
}

} // namespace tape
