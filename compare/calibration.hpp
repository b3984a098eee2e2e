#pragma once

#include "compare/result.hpp"
#include "compare/statistics.hpp"

#include <optional>
#include <string>
#include <vector>

// Whether a classifier's probabilities mean what they say.
namespace tape {

/// Answers whose probability lies in [low, high); the last bin holds 1 too.
struct CalibrationBin {
    double low = 0, high = 0;
    double answers = 0;    ///< mean over seeds
    double confidence = 0; ///< mean probability of the answers; NaN if there are none
    double accuracy = 0;   ///< share that is right; NaN if there are none
};

struct Calibration {
    std::string arm;
    std::vector<CalibrationBin> bins; ///< ten of equal width, all seeds together
    Interval error;                   ///< expected calibration error, mean over seeds
    Interval excess;                  ///< mean probability minus accuracy: above zero is overconfident
};

/// Expected calibration error of the named class (Guo et al., ICML 2017): mean over ten bins of equal width of
/// |accuracy - mean probability|, weighted by the number of answers. Answers are residues (resolved and labelled), the
/// listed pairs of contacts (the L most probable of each range of separation), or proteins. Intervals resample
/// proteins and seeds as `bootstrap` does. The error of few answers is biased upwards: chance alone moves the bins.
/// @return nothing for values, and for results that hold no probabilities
std::optional<Calibration> calibration_of(TaskResult const& task, std::string const& arm,
                                          ResamplingOptions const& options);

} // namespace tape
