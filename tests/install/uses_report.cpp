#include "compare/metrics.hpp"

#include <array>

bool uses_report() {
    std::array<double, 4> const x{1, 2, 3, 4}, y{1, 4, 9, 16};
    return tape::spearman(x, y) == 1.0;
}
