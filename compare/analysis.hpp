#pragma once

#include "compare/calibration.hpp"
#include "compare/metrics.hpp"
#include "compare/statistics.hpp"

#include <string>
#include <vector>

// From predictions to every number of the report: metrics with intervals, paired differences, both within groups of
// proteins, calibration, leaks. Tables, figures and the verdict read this and compute nothing themselves.
namespace tape {

/// A metric of an arm with its interval.
struct MetricEstimate {
    std::string metric;
    Interval interval;
    std::vector<double> by_seed; ///< on the whole test set, in the order of the seeds run
};

struct ArmEstimate {
    std::string arm;
    std::vector<MetricEstimate> metrics; ///< headline first
    std::vector<std::uint64_t> seeds;
    bool constant = false; ///< some run predicts one and the same answer for all examples
};

/// Why two arms are compared.
enum class Question {
    baseline,    ///< any arm against one-hot residues
    sources,     ///< alignment against a language model
    joined,      ///< a union against the better of its parts
    pretraining, ///< a language model against the same network with random weights
    models,      ///< a language model against one named before it
    runs         ///< the same arm in another run (merged results)
};

/// Paired difference of the headline metric, a - b, on the same examples.
struct Difference {
    std::string a, b;
    Question question{};
    Interval interval;
    double p = 0;          ///< sign-flip test
    double p_holm = 0;     ///< corrected over all differences of the analysis
    double effect = 0;     ///< Cohen's d of the paired contributions: mean / standard deviation
    double detectable = 0; ///< difference that this test set shows with 80% power at 5%: 2.8 standard errors
    std::size_t better = 0, worse = 0; ///< examples that speak for a, and for b

    /// Holm-corrected p below 5% and an interval on one side of zero.
    [[nodiscard]] bool significant() const;
};

/// Two arms whose difference is followed through the groups of a task, a - b.
struct Gap {
    std::string a, b;
    Question question{}; ///< sources (here language model minus alignment) or joined
};

/// The headline metric within groups of examples, ten examples each at least.
struct GroupedEstimates {
    std::string attribute; ///< "depth", "num_mutations", "length", "structure", "identity"
    std::string title;     ///< "effective sequences in the alignment (Neff)"
    bool ordered = true;   ///< groups ascend; else they are kinds
    struct Group {
        std::string label;        ///< "8-31"
        double low = 0, high = 0; ///< least and greatest value inside; NaN where groups have names only
        std::size_t examples = 0;
        std::vector<Interval> arms; ///< parallel to TaskAnalysis::arms
        std::vector<Interval> gaps; ///< paired differences, parallel to TaskAnalysis::gaps
    };
    std::vector<Group> groups;
};

/// Test proteins with a relative among the sequences something was learnt or read from, and the results without them.
struct LeakAudit {
    std::string set, name;       ///< as Relatives
    double least_identity = 0.3; ///< from which a relative counts
    double coverage = 0.8;       ///< of the test protein, at least
    std::size_t leaked = 0, identical = 0;
    double median = 0,
           upper_quartile = 0; ///< identity with the closest relative, over the test proteins; 0 = none found
    std::vector<Interval>
        without; ///< headline of the others, parallel to arms; empty if none or fewer than ten are left
    std::vector<Interval> gaps_without; ///< parallel to TaskAnalysis::gaps
};

struct TaskAnalysis {
    std::vector<Metric> metrics;
    std::vector<ArmEstimate> arms; ///< in the order of Result::arms; arms without a run of this task are absent
    std::vector<Difference> differences;
    std::vector<Gap> gaps; ///< language model minus alignment, union minus its better part: the first of each
    std::vector<GroupedEstimates> groupings;
    std::vector<LeakAudit> leaks;          ///< one a set that was searched
    std::vector<Calibration> calibrations; ///< one an arm, for classifiers
    std::size_t in_training = 0;           ///< test examples whose sequence also stands in the training part
    std::vector<Interval> without_leaked;  ///< headline without those, parallel to arms; empty if there are none
};

struct Analysis {
    ResamplingOptions options;
    std::vector<TaskAnalysis> tasks; ///< parallel to Result::tasks
};

/// Deterministic for a given seed, whatever the number of threads.
/// Grouping by depth uses the first arm that has depths; five groups of like size at most, ten examples each at least.
Analysis analyse(Result const& result, ResamplingOptions const& options);

/// Role of an arm, by its parts.
enum class ArmRole { sequence, alignment, language_model, random_model, joined };
ArmRole role_of(Arm const& arm);

/// Headline estimate of an arm of a task; null if the arm did not run.
ArmEstimate const* find_arm(TaskAnalysis const& task, std::string const& arm);

} // namespace tape
