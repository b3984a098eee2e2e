#include "compare/analysis_json.hpp"

#include "compare/crossover.hpp"
#include "compare/figures.hpp"
#include "compare/summary.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace tape {

using nlohmann::json;

namespace {

json encode(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json encode(Interval const& interval) {
    return {{"value", encode(interval.value)}, {"low", encode(interval.low)}, {"high", encode(interval.high)}};
}

json encode(std::vector<Interval> const& intervals) {
    json array = json::array();
    for (auto const& interval : intervals) array.push_back(encode(interval));
    return array;
}

json encode(ArmEstimate const& arm) {
    json metrics = json::object();
    for (auto const& metric : arm.metrics) {
        metrics[metric.metric] = encode(metric.interval);
        metrics[metric.metric]["by_seed"] = json::array();
        for (double const value : metric.by_seed) metrics[metric.metric]["by_seed"].push_back(encode(value));
    }
    return {{"arm", arm.arm}, {"seeds", arm.seeds}, {"constant", arm.constant}, {"metrics", std::move(metrics)}};
}

json encode(Difference const& d) {
    json object = encode(d.interval);
    object.update({{"a", d.a},
                   {"b", d.b},
                   {"question", question_text(d.question)},
                   {"p", encode(d.p)},
                   {"p_holm", encode(d.p_holm)},
                   {"effect", encode(d.effect)},
                   {"detectable", encode(d.detectable)},
                   {"better", d.better},
                   {"worse", d.worse},
                   {"significant", d.significant()}});
    return object;
}

json encode(GroupedEstimates const& grouping) {
    json groups = json::array();
    for (auto const& group : grouping.groups)
        groups.push_back({{"label", group.label},
                          {"low", encode(group.low)},
                          {"high", encode(group.high)},
                          {"examples", group.examples},
                          {"arms", encode(group.arms)},
                          {"gaps", encode(group.gaps)}});
    return {{"attribute", grouping.attribute},
            {"title", grouping.title},
            {"ordered", grouping.ordered},
            {"groups", std::move(groups)}};
}

json encode(Calibration const& calibration) {
    json bins = json::array();
    for (auto const& bin : calibration.bins)
        bins.push_back({{"low", bin.low},
                        {"high", bin.high},
                        {"answers", bin.answers},
                        {"confidence", encode(bin.confidence)},
                        {"accuracy", encode(bin.accuracy)}});
    return {{"arm", calibration.arm},
            {"error", encode(calibration.error)},
            {"excess", encode(calibration.excess)},
            {"bins", std::move(bins)}};
}

json encode(LeakAudit const& audit) {
    return {{"set", audit.set},
            {"name", audit.name},
            {"least_identity", audit.least_identity},
            {"coverage", audit.coverage},
            {"leaked", audit.leaked},
            {"identical", audit.identical},
            {"median_identity", audit.median},
            {"upper_quartile_identity", audit.upper_quartile},
            {"without", encode(audit.without)},
            {"gaps_without", encode(audit.gaps_without)}};
}

template <typename T> json encode_all(std::vector<T> const& values) {
    json array = json::array();
    for (auto const& value : values) array.push_back(encode(value));
    return array;
}

json encode(TaskResult const& result, TaskAnalysis const& task) {
    json gaps = json::array();
    for (auto const& gap : task.gaps)
        gaps.push_back({{"a", gap.a}, {"b", gap.b}, {"question", question_text(gap.question)}});
    return {{"task", result.task.name},
            {"headline", task.metrics.empty() ? "" : task.metrics.front().name},
            {"examples", result.examples.size()},
            {"arms", encode_all(task.arms)},
            {"differences", encode_all(task.differences)},
            {"gaps", std::move(gaps)},
            {"groupings", encode_all(task.groupings)},
            {"calibrations", encode_all(task.calibrations)},
            {"leaks", encode_all(task.leaks)}};
}

} // namespace

json to_json(Result const& result, Analysis const& analysis) {
    auto const verdict = make_verdict(result, analysis);
    json object{{"format", "tape-compare statistics"},
                {"format_version", 1},
                {"resamples", analysis.options.resamples},
                {"permutations", analysis.options.permutations},
                {"level", analysis.options.level},
                {"seed", analysis.options.seed},
                {"verdict", verdict.headline},
                {"findings", verdict.sentences},
                {"cautions", verdict.cautions},
                {"crossovers", crossover_sentences(result, analysis)},
                {"tasks", json::array()}};
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        object["tasks"].push_back(encode(result.tasks[t], analysis.tasks[t]));
    return object;
}

} // namespace tape
