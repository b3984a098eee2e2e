#pragma once

#include "align/forward.hpp"
#include "align/substitution.hpp"

#include <random>
#include <utility>

namespace tape::test {

/// Positions and transitions at random, as no real profile has them.
inline ForwardModel random_model(std::mt19937_64& random, int length) {
    std::uniform_real_distribution<float> score(-6, 6), part(0.05F, 1);
    PositionScores scores{length, std::vector<float>(static_cast<std::size_t>(length) * residue_code_count)};
    for (float& value : scores.values) value = score(random) - 2;
    TransitionMatrix transitions(length + 1, transition_count);
    for (Eigen::Index k = 0; k <= length; ++k) {
        for (int t = 0; t < transition_count; ++t) transitions(k, t) = part(random);
        for (auto const& [first, size] : {std::pair{0, 3}, {3, 2}, {5, 2}})
            transitions.row(k).segment(first, size) /= transitions.row(k).segment(first, size).sum();
    }
    return make_forward_model(scores, transitions);
}

} // namespace tape::test
