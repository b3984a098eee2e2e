#pragma once

#include <nlohmann/json.hpp>

namespace tape::test {

/// tests/golden/compare_goldens.json, what SciPy, NumPy and scikit-learn say (make_compare_goldens.py).
nlohmann::json const& goldens();

} // namespace tape::test
