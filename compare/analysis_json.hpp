#pragma once

#include "compare/analysis.hpp"

#include <nlohmann/json_fwd.hpp>

namespace tape {

/// Every number of the report that is not a prediction: metrics, differences with tests, effect sizes and detectable
/// differences, groups, calibration, leaks, crossovers. Numbers are doubles in full; NaN is null.
nlohmann::json to_json(Result const& result, Analysis const& analysis);

} // namespace tape
