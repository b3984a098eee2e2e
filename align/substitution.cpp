#include "align/substitution.hpp"

#include <cmath>

namespace tape {

// clang-format off
std::array<std::array<std::int8_t, residue_code_count>, residue_code_count> const blosum62{{
//   A   C   D   E   F   G   H   I   K   L   M   N   P   Q   R   S   T   V   W   Y   -   X
    {{ 4,  0, -2, -1, -2,  0, -2, -1, -1, -1, -1, -2, -1, -1, -1,  1,  0,  0, -3, -2, -4, -1}}, // A
    {{ 0,  9, -3, -4, -2, -3, -3, -1, -3, -1, -1, -3, -3, -3, -3, -1, -1, -1, -2, -2, -4, -1}}, // C
    {{-2, -3,  6,  2, -3, -1, -1, -3, -1, -4, -3,  1, -1,  0, -2,  0, -1, -3, -4, -3, -4, -1}}, // D
    {{-1, -4,  2,  5, -3, -2,  0, -3,  1, -3, -2,  0, -1,  2,  0,  0, -1, -2, -3, -2, -4, -1}}, // E
    {{-2, -2, -3, -3,  6, -3, -1,  0, -3,  0,  0, -3, -4, -3, -3, -2, -2, -1,  1,  3, -4, -1}}, // F
    {{ 0, -3, -1, -2, -3,  6, -2, -4, -2, -4, -3,  0, -2, -2, -2,  0, -2, -3, -2, -3, -4, -1}}, // G
    {{-2, -3, -1,  0, -1, -2,  8, -3, -1, -3, -2,  1, -2,  0,  0, -1, -2, -3, -2,  2, -4, -1}}, // H
    {{-1, -1, -3, -3,  0, -4, -3,  4, -3,  2,  1, -3, -3, -3, -3, -2, -1,  3, -3, -1, -4, -1}}, // I
    {{-1, -3, -1,  1, -3, -2, -1, -3,  5, -2, -1,  0, -1,  1,  2,  0, -1, -2, -3, -2, -4, -1}}, // K
    {{-1, -1, -4, -3,  0, -4, -3,  2, -2,  4,  2, -3, -3, -2, -2, -2, -1,  1, -2, -1, -4, -1}}, // L
    {{-1, -1, -3, -2,  0, -3, -2,  1, -1,  2,  5, -2, -2,  0, -1, -1, -1,  1, -1, -1, -4, -1}}, // M
    {{-2, -3,  1,  0, -3,  0,  1, -3,  0, -3, -2,  6, -2,  0,  0,  1,  0, -3, -4, -2, -4, -1}}, // N
    {{-1, -3, -1, -1, -4, -2, -2, -3, -1, -3, -2, -2,  7, -1, -2, -1, -1, -2, -4, -3, -4, -1}}, // P
    {{-1, -3,  0,  2, -3, -2,  0, -3,  1, -2,  0,  0, -1,  5,  1,  0, -1, -2, -2, -1, -4, -1}}, // Q
    {{-1, -3, -2,  0, -3, -2,  0, -3,  2, -2, -1,  0, -2,  1,  5, -1, -1, -3, -3, -2, -4, -1}}, // R
    {{ 1, -1,  0,  0, -2,  0, -1, -2,  0, -2, -1,  1, -1,  0, -1,  4,  1, -2, -3, -2, -4, -1}}, // S
    {{ 0, -1, -1, -1, -2, -2, -2, -1, -1, -1, -1,  0, -1, -1, -1,  1,  5,  0, -2, -2, -4, -1}}, // T
    {{ 0, -1, -3, -2, -1, -3, -3,  3, -2,  1,  1, -3, -2, -2, -3, -2,  0,  4, -3, -1, -4, -1}}, // V
    {{-3, -2, -4, -3,  1, -2, -2, -3, -3, -2, -1, -4, -4, -2, -3, -3, -2, -3, 11,  2, -4, -1}}, // W
    {{-2, -2, -3, -2,  3, -3,  2, -1, -2, -1, -1, -2, -3, -1, -2, -2, -2, -1,  2,  7, -4, -1}}, // Y
    {{-4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4,  1, -4}}, // gap
    {{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -4, -1}}, // X
}};
// clang-format on

namespace {

double expected_exponential(double lambda) {
    double sum = 0;
    for (int a = 0; a < amino_acid_count; ++a)
        for (int b = 0; b < amino_acid_count; ++b)
            sum += background_frequencies[a] * background_frequencies[b] * std::exp(lambda * blosum62[a][b]);
    return sum;
}

// Convex in lambda with roots at 0 and at the positive value wanted; bisection between a point below 1 and one above.
double solve_lambda() {
    double low = 0.05, high = 1.0;
    for (int step = 0; step < 100; ++step) {
        double const middle = 0.5 * (low + high);
        (expected_exponential(middle) < 1 ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

std::array<std::array<double, amino_acid_count>, amino_acid_count> make_conditional() {
    std::array<std::array<double, amino_acid_count>, amino_acid_count> conditional{};
    for (int b = 0; b < amino_acid_count; ++b) {
        double sum = 0;
        for (int a = 0; a < amino_acid_count; ++a)
            sum += conditional[b][a] = background_frequencies[a] * std::exp(blosum62_lambda() * blosum62[a][b]);
        for (double& value : conditional[b]) value /= sum;
    }
    return conditional;
}

} // namespace

double blosum62_lambda() {
    static double const lambda = solve_lambda();
    return lambda;
}

std::array<std::array<double, amino_acid_count>, amino_acid_count> const& blosum62_conditional() {
    static auto const conditional = make_conditional();
    return conditional;
}

} // namespace tape
